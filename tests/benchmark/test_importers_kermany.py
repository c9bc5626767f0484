"""The 247 real films that may be shared: by one command what a manifest makes, and nothing else under its name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cxrbench.benchmark.data.importers.kermany import OPTIONS, SPLITS, import_kermany
from cxrbench.benchmark.data.importers.manifest import import_manifest
from cxrbench.benchmark.errors import InputError


def folder(place, films: int = 247):
    """A folder of that form with films of one grey."""
    for name in ("images", "masks"):
        (place / name).mkdir(parents=True)
    stems = [f"film{index:03d}" for index in range(films)]
    for stem in stems:
        Image.fromarray(np.full((16, 16), 100, np.uint8)).save(place / "images" / f"{stem}.png")
        Image.fromarray(np.full((16, 16), 1, np.uint8)).save(place / "masks" / f"{stem}.png")
    parts = ["train" if index % 2 else "test" for index in range(films)]
    table = pd.DataFrame(
        {"stem": stems, "person": stems, "split": parts, "fold": [index % 3 for index in range(films)]}
    )
    table.to_csv(place / "metadata.csv", index=False)
    return place


def test_another_folder_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"kermany-lungs: .* has no metadata.csv; expected the folder with"):
        import_kermany(tmp_path)
    with pytest.raises(InputError, match=r"names 3 films, expected 247"):
        import_kermany(folder(tmp_path / "few", films=3), 16)
    with pytest.raises(InputError, match=r"the column 'split' of .*metadata.csv is not the published one"):
        import_kermany(folder(tmp_path / "other"), 16)


@pytest.mark.real_data
def test_the_command_makes_what_the_manifest_makes_and_says_whose_films_they_are(real_data):
    source = real_data / "kermany_lungs"
    films, by_manifest = import_kermany(source, 64), import_manifest(source / "metadata.csv", 64, options=OPTIONS)
    assert films.digest == by_manifest.digest
    assert (len(films), films.cases["patient"].nunique(), films.organs) == (247, 182, ("left_lung", "right_lung"))
    assert "doi:10.17632/rscbjbr9sj.2" in films.info.provenance and "CC BY 4.0" in films.info.provenance
    assert set(SPLITS) <= set(films.cases.columns)
