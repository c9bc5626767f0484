"""Importers: downloads as they come from their owners, checked and written in the dataset form.

`jsrt` reads the official JSRT and SCR files, `manifest` any csv. Nothing is imported where anything is wrong.
"""
