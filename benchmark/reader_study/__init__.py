"""The reader study: can people tell synthetic films from real ones? (Xing et al. 2019, section 3.1 and Table 1.)

`build_study` makes one blinded page and, apart from it, the key; `score_study` makes the paper's table from the readers'
answers.
"""

from .build import StudyPlan, build_study
from .score import score_study

__all__ = ["StudyPlan", "build_study", "score_study"]
