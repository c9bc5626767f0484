"""The procedural chest phantom: people drawn from a seed, their films and organ masks, with no download.

`anatomy` draws a person, `outlines` and `vessels` turn one into polygons, `raster` gives exact pixel
coverage, `film` projects everything with Beer-Lambert's law and develops the film, and `jsrt_like` is the
set of 247 cases that mirrors JSRT/SCR; `hard` draws the same cases varied, ill and badly taken. Phantom
numbers are never compared with published ones.
"""
