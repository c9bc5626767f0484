"""Importers: downloads as they come from their owners, checked and written in the dataset form.

`jsrt` reads the official JSRT and SCR files, `nih` the official NIH ChestX-ray14 download, `manifest` any csv, `public`
other public sets by name. Nothing is imported where anything is wrong.
"""
