"""Parts of the body as tags, codes and descriptions name them -> one spelling; the chest is the empty one.

Words are looked for one by one, in descriptions too: a knee whose only mark is `XR KNEE LEFT AP` is no chest.
Source: DICOM PS3.16 Annex L (body parts examined) and CID 4031 (anatomic regions), in SNOMED CT and in the
codes before it.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence

CHEST = ""
UNKNOWN = "unknown"
SEVERAL = "several"  # named at once, or by tags that contradict each other
_WORDS = {
    CHEST: "CHEST THORAX TORAX TORACE LUNG LUNGS LUNGE LUNGEN POUMON POUMONS PULMON PULMONES CXR",
    "ABDOMEN": "ABDOMEN ABDOMINAL KUB ABD BAUCH ADDOME",
    "ANKLE": "ANKLE ANKLES SPRUNGGELENK CHEVILLE TOBILLO CAVIGLIA",
    "ARM": "ARM ARMS UPPERARM UPPER_ARM",
    "CLAVICLE": "CLAVICLE CLAVICLES",
    "CSPINE": "CSPINE C_SPINE CERVICAL_SPINE CERVICAL HWS",
    "ELBOW": "ELBOW ELBOWS ELLENBOGEN COUDE CODO GOMITO",
    "EXTREMITY": "EXTREMITY EXTREMITIES LIMB UPPER_LIMB LOWER_LIMB",
    "FEMUR": "FEMUR FEMURS THIGH OBERSCHENKEL",
    "FINGER": "FINGER FINGERS",
    "FOOT": "FOOT FEET FUSS PIED PIEDE CALCANEUS HEEL",
    "FOREARM": "FOREARM FOREARMS RADIUS ULNA UNTERARM",
    "HAND": "HAND HANDS MANO",
    "HEAD": "HEAD",
    "HIP": "HIP HIPS HUEFTE HUFTE HANCHE CADERA ANCA",
    "HUMERUS": "HUMERUS",
    "JAW": "JAW MANDIBLE",
    "KNEE": "KNEE KNEES KNIE GENOU RODILLA GINOCCHIO PATELLA",
    "LEG": "LEG LEGS LOWER_LEG TIBIA FIBULA UNTERSCHENKEL",
    "LSPINE": "LSPINE L_SPINE LUMBAR_SPINE LUMBAR LUMBOSACRAL LWS SACRUM",
    "NECK": "NECK SOFT_TISSUE_NECK",
    "PELVIS": "PELVIS BECKEN BASSIN",
    "RIB": "RIB RIBS",
    "SCAPULA": "SCAPULA",
    "SHOULDER": "SHOULDER SHOULDERS SCHULTER EPAULE HOMBRO SPALLA",
    "SKULL": "SKULL SCHAEDEL CRANE CRANEO CRANIO",
    "SPINE": "SPINE SCOLIOSIS",
    "STERNUM": "STERNUM",
    "THUMB": "THUMB THUMBS",
    "TOE": "TOE TOES",
    "TSPINE": "TSPINE T_SPINE THORACIC_SPINE DORSAL_SPINE BWS",
    "WRIST": "WRIST WRISTS HANDGELENK POIGNET MUNECA POLSO",
}
_CODES = {
    CHEST: "816094009 51185008 43799004 T-D3000 39607008 T-28000",
    "ABDOMEN": "818981001 113345001 T-D4000",
    "ANKLE": "70258002 T-15750",
    "CLAVICLE": "51299004 T-12310",
    "CSPINE": "122494005 T-11501",
    "ELBOW": "16953009 T-15430",
    "FEMUR": "71341001 T-12710",
    "FINGER": "7569003 T-D8800",
    "FOOT": "56459004 T-D9700",
    "FOREARM": "14975008 T-D8500",
    "HAND": "85562004 T-D8700",
    "HIP": "24136001 29836001 T-15710 T-D2500",
    "KNEE": "72696002 T-D9200",
    "LSPINE": "122496007 T-11503",
    "NECK": "45048000 T-D1600",
    "PELVIS": "12921003 816092008 T-D6000",
    "SHOULDER": "16982005 T-D2220",
    "SKULL": "89546000 T-11100",
    "TSPINE": "122495006 T-11502",
    "WRIST": "74670003 T-15460",
}
_OF_CODE = {code: part for part, codes in _CODES.items() for code in codes.split()}
_OF_WORD = {word.replace("_", " "): part for part, words in _WORDS.items() for word in words.split()}
# Longer ones first: a thoracic spine is no spine, and no thorax.
_ANY_WORD = re.compile(rf"\b(?:{'|'.join(sorted(_OF_WORD, key=len, reverse=True))})\b")
_SIDED = frozenset(
    (
        *("ANKLE", "ARM", "CLAVICLE", "ELBOW", "EXTREMITY", "FEMUR", "FINGER", "FOOT", "FOREARM", "HAND"),
        *("HIP", "HUMERUS", "KNEE", "LEG", "RIB", "SCAPULA", "SHOULDER", "THUMB", "TOE", "WRIST"),
    )
)
_SIDES = {
    "LEFT": "L LEFT LT LINKS GAUCHE IZQUIERDA 7771000 G-A101",
    "RIGHT": "R RIGHT RT RECHTS DROITE DERECHA 24028007 G-A100",
    "BOTH": "B BOTH BILATERAL 51440002 G-A102",
}
_OF_SIDE = {word: side for side, words in _SIDES.items() for word in words.split()}
UNDECIDED = (UNKNOWN, SEVERAL, *sorted(_SIDED))
"""Regions of which two images may show different things: of a knee without a side, left and right."""


def part_of_code(code: str, meaning: str) -> str:
    """The part of the body that a coded entry stands for, by its code, or else by its words."""
    return _OF_CODE[code] if code in _OF_CODE else part_in(meaning)


def part_in(text: str) -> str:
    """The part of the body that words name: exactly one, else `unknown` or `several`."""
    return agreed(_OF_WORD[word] for word in _ANY_WORD.findall(_plain(text)))


def agreed(parts: Iterable[str]) -> str:
    """The one known part among several, `unknown` where there is none, `several` where they differ."""
    known = set(parts) - {UNKNOWN}
    return known.pop() if len(known) == 1 else SEVERAL if known else UNKNOWN


def first_named(texts: Sequence[str]) -> str:
    """The part that the first text names which names any; `several` where it names several."""
    return next((part for text in texts if (part := part_in(text)) != UNKNOWN), UNKNOWN)


def side_of(tags: Sequence[str], texts: Sequence[str]) -> str:
    """LEFT, RIGHT or BOTH, where the first tag, or else the first text, names one of them; else nothing.

    Args:
        tags: laterality as tags and codes have it, such as `L`.
        texts: descriptions, where a single letter may mean anything.
    """
    for tag in tags:
        if side := _OF_SIDE.get(tag.strip().upper()):
            return side
    for text in texts:
        named = {_OF_SIDE[word] for word in _plain(text).split() if word in _OF_SIDE and len(word) > 1}
        if named:
            return named.pop() if len(named) == 1 else "BOTH"
    return ""


def with_side(part: str, side: str) -> str:
    """`KNEE_LEFT` of what comes in pairs; any other part as it is."""
    return f"{part}_{side}" if side and part in _SIDED else part


def _plain(text: str) -> str:
    """Capitals without accents, words apart by one blank; digits and signs count as blanks."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", text.upper()) if not unicodedata.combining(c))
    return " ".join(re.split(r"[\W\d_]+", bare)).strip()
