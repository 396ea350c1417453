"""Names of radiographic views: one spelling for what data sets and DICOM headers write.

The vocabulary is closed. What is not in it is `unknown`, so that free text of a header never travels on.

Source: DICOM PS3.3 C.8.1.1 (CR View Position) and C.8.11.5 (DX Positioning), PS3.16 CID 4010 (DX View); the
values that occur in MIMIC-CXR-JPG's metadata and in PadChest's Projection column.
"""

import re

UNKNOWN = "unknown"
_SPELLINGS = {
    "PA": ("PA", "POSTERO ANTERIOR", "POSTEROANTERIOR", "272479007", "R 10214", "R 40888"),
    "AP": ("AP", "ANTERO POSTERIOR", "ANTEROPOSTERIOR", "399348003", "R 10206"),
    # Unless said otherwise a lateral is taken with the left side at the detector.
    "LATERAL": ("LATERAL", "LL", "L", "LAT", "LLAT", "LEFT LATERAL", "399173006", "R 10236", "399067008"),
    "RIGHT_LATERAL": ("RL", "RLAT", "RIGHT LATERAL", "399198007"),
    "FRONTAL": ("FRONTAL",),
    "AP_HORIZONTAL": ("AP HORIZONTAL",),
    "AP_AXIAL": ("AP AXIAL",),
    "LORDOTIC": ("LORDOTIC", "AP LORDOTIC"),
    "LLD": ("LLD", "LEFT LATERAL DECUBITUS"),
    "RLD": ("RLD", "RIGHT LATERAL DECUBITUS"),
    "AP_LLD": ("AP LLD",),
    "AP_RLD": ("AP RLD",),
    "PA_LLD": ("PA LLD",),
    "PA_RLD": ("PA RLD",),
    "LAO": ("LAO", "LEFT ANTERIOR OBLIQUE"),
    "RAO": ("RAO", "RIGHT ANTERIOR OBLIQUE"),
    "LPO": ("LPO", "LEFT POSTERIOR OBLIQUE"),
    "RPO": ("RPO", "RIGHT POSTERIOR OBLIQUE"),
    "LLO": ("LLO", "LEFT LATERAL OBLIQUE"),
    "RLO": ("RLO", "RIGHT LATERAL OBLIQUE"),
    "XTABLE_LATERAL": ("XTABLE LATERAL", "CROSS TABLE LATERAL"),
    "SWIMMERS": ("SWIMMERS",),
    "COSTAL": ("COSTAL",),
}
VIEWS = (*_SPELLINGS, UNKNOWN)
UNDECIDED = (UNKNOWN, "FRONTAL")
"""Views of which two images may differ: a frontal image is AP or PA."""
_VIEW_OF = {spelling: view for view, spellings in _SPELLINGS.items() for spelling in spellings}
_IN_DESCRIPTIONS = {"PA": "PA", "AP": "AP", "LAT": "LATERAL", "LATERAL": "LATERAL", "LL": "LATERAL"}


def normalise_view(text: str) -> str:
    """The view that an official name, a code or a code's meaning stands for, or `unknown`."""
    return _VIEW_OF.get(" ".join(re.split(r"[\W_]+", text.upper())).strip(), UNKNOWN)


def view_in_description(text: str) -> str:
    """The view that free text names, where it names exactly one as a word of its own; else `unknown`."""
    words = re.split(r"[^A-Z]+", text.upper())
    named = {_IN_DESCRIPTIONS[word] for word in words if word in _IN_DESCRIPTIONS}
    return named.pop() if len(named) == 1 else UNKNOWN
