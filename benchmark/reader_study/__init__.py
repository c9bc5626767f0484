"""Reader studies: can people tell synthetic films from real ones (Xing et al. 2019, section 3.1 and Table 1), and do they
prefer a model's segmentation to the target (Ciano et al. 2021, section 5.3)?

`build_study` and `build_preference` make one blinded page and, apart from it, the key; `score_study` and `score_preference`
make tables from the readers' answers.
"""

from .build import StudyPlan, build_study
from .preference import PreferencePlan, build_preference
from .preference_score import score_preference
from .score import score_study

__all__ = [
    "PreferencePlan",
    "StudyPlan",
    "build_preference",
    "build_study",
    "score_preference",
    "score_study",
]
