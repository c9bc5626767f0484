"""Are the reproduced numbers still what this code gives?"""
