"""The one table between codes of clinical systems and the variables of the dictionary.

A code stands here only if it says what the variable's definition says. Where a code says less (steroids without a dose,
chronic kidney disease without its stage, 25-hydroxyvitamin D3 alone) there is no line, and the variable stays unknown.
What common systems have no code for (heights of a vertebra, CT values, the plan of the injection) comes under a system
of our own: its codes are the names of the dictionary, so that every variable can be sent.

Sources: LOINC, SNOMED CT, ICD-10 of the WHO and ICD-10-CM, ICD-9-CM volume 3, ATC, RxNorm, CPT.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from features.dictionary import VARIABLES, Value

LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
ICD10 = "http://hl7.org/fhir/sid/icd-10"
ICD10_CM = "http://hl7.org/fhir/sid/icd-10-cm"
ATC = "http://www.whocc.no/atc"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
CPT = "http://www.ama-assn.org/go/cpt"
#: Volume 3, operations: hospitals in China code by it, with digits of their own behind.
ICD9_CM = "http://hl7.org/fhir/sid/icd-9-cm"
#: Ours: a code is the name of a variable, or in a coded value one of its choices.
DICTIONARY = "urn:cemrisk:dictionary"

Coding = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Code:
    """One line: what a code of a system says of a variable; ``value`` is None where the resource holds the value.

    ``prefix``: of a classification, the code stands for all that begin with it, dots left out.
    """

    variable: str
    system: str
    code: str
    display: str
    value: Value | None = None
    prefix: bool = False

    def says(self, coding: Coding) -> bool:
        """Whether the coding is this one."""
        system, code = coding
        if system != self.system:
            return False
        return _undotted(code).startswith(_undotted(self.code)) if self.prefix else code == self.code


def _undotted(code: str) -> str:
    return code.replace(".", "")


def _loinc(variable: str, **displays: str) -> list[Code]:
    return [Code(variable, LOINC, code.strip("_").replace("_", "-"), display) for code, display in displays.items()]


#: Observations whose value is a quantity, or one of ``CODED_VALUES``; of one time the upper line is preferred.
OBSERVED: tuple[Code, ...] = (
    *_loinc("age_years", _30525_0="Age"),
    *_loinc("height_cm", _8302_2="Body height"),
    *_loinc("weight_kg", _29463_7="Body weight"),
    *_loinc("bmi_kg_m2", _39156_5="Body mass index (BMI) [Ratio]"),
    *_loinc("smoking", _72166_2="Tobacco smoking status"),
    *_loinc("albumin_g_l", _1751_7="Albumin [Mass/volume] in Serum or Plasma"),
    *_loinc("haemoglobin_g_l", _718_7="Hemoglobin [Mass/volume] in Blood"),
    *_loinc("vitamin_d_nmol_l", _62292_8="25-hydroxyvitamin D2 and D3 [Mass/volume] in Serum or Plasma"),
    *_loinc("beta_ctx", _41171_0="Collagen crosslinked C-telopeptide [Mass/volume] in Serum or Plasma"),
    *_loinc(
        "p1np", _77370_5="Procollagen type I.N-terminal propeptide [Mass/volume] in Serum or Plasma by Immunoassay"
    ),
    *_loinc(
        "t_score",
        _38267_1="DXA Lumbar spine [T-score] Bone density",
        _38264_8="DXA Hip [T-score] Bone density",
        _80946_7="DXA Hip - left [T-score] Bone density",
        _80945_9="DXA Hip - right [T-score] Bone density",
    ),
    *_loinc(
        "bmd_g_cm2",
        _24966_4="DXA Lumbar spine [Mass/Area] Bone density",
        _38261_4="DXA Hip [Mass/Area] Bone density",
    ),
    *_loinc("vas_preop", _38214_3="Pain severity [Score] Visual analog score"),
    Code("asa_class", SNOMED, "302132005", "American Society of Anesthesiologists physical status class"),
)

#: What a coded value of an observation says.
CODED_VALUES: tuple[Code, ...] = (
    Code("smoking", SNOMED, "266919005", "Never smoked tobacco", "never"),
    Code("smoking", SNOMED, "8517006", "Ex-smoker", "former"),
    Code("smoking", SNOMED, "77176002", "Smoker", "current"),
    Code("smoking", SNOMED, "449868002", "Smokes tobacco daily", "current"),
    Code("asa_class", SNOMED, "413495001", "ASA physical status class 1", "1"),
    Code("asa_class", SNOMED, "413496000", "ASA physical status class 2", "2"),
    Code("asa_class", SNOMED, "413497009", "ASA physical status class 3", "3"),
    Code("asa_class", SNOMED, "413498004", "ASA physical status class 4", "4"),
    Code("asa_class", SNOMED, "413499007", "ASA physical status class 5", "5"),
)


def _icd(variable: str, value: Value, **displays: str) -> list[Code]:
    """In both editions of ICD-10: the blocks named here mean the same in them."""
    return [
        Code(variable, system, code, display, value, prefix=True)
        for code, display in displays.items()
        for system in (ICD10, ICD10_CM)
    ]


#: Illnesses; their presence says yes. That one is not listed says nothing.
ILLNESSES: tuple[Code, ...] = (
    Code("diabetes", SNOMED, "73211009", "Diabetes mellitus", True),
    Code("diabetes", SNOMED, "44054006", "Diabetes mellitus type 2", True),
    Code("diabetes", SNOMED, "46635009", "Diabetes mellitus type 1", True),
    *_icd("diabetes", True, E10="Type 1", E11="Type 2", E13="Other specified", E14="Unspecified diabetes mellitus"),
    Code("hypertension", SNOMED, "38341003", "Hypertensive disorder", True),
    Code("hypertension", SNOMED, "59621000", "Essential hypertension", True),
    *_icd("hypertension", True, I10="Essential hypertension", I11="Hypertensive heart disease", I13="Heart and kidney"),
    Code("cerebrovascular_disease", SNOMED, "230690007", "Cerebrovascular accident", True),
    Code("cerebrovascular_disease", SNOMED, "432504007", "Cerebral infarction", True),
    Code("cerebrovascular_disease", SNOMED, "266257000", "Transient ischemic attack", True),
    *_icd("cerebrovascular_disease", True, I61="Haemorrhage", I63="Infarction", I64="Stroke"),
    # G45.4, transient global amnesia, is no ischaemic attack.
    *_icd(
        "cerebrovascular_disease", True, G450="Vertebrobasilar", G451="Carotid", G452="Multiple precerebral arteries"
    ),
    *_icd("cerebrovascular_disease", True, G453="Amaurosis fugax", G458="Other transient attacks", G459="Unspecified"),
    Code("cerebrovascular_disease", ICD10_CM, "Z8673", "History of TIA or cerebral infarction", True, prefix=True),
    Code("ckd", SNOMED, "433144002", "Chronic kidney disease stage 3", True),
    Code("ckd", SNOMED, "700378005", "Chronic kidney disease stage 3A", True),
    Code("ckd", SNOMED, "700379002", "Chronic kidney disease stage 3B", True),
    Code("ckd", SNOMED, "431857002", "Chronic kidney disease stage 4", True),
    Code("ckd", SNOMED, "433146000", "Chronic kidney disease stage 5", True),
    *_icd("ckd", True, N183="Stage 3", N184="Stage 4", N185="Chronic kidney disease, stage 5"),
    Code("parkinson", SNOMED, "49049000", "Parkinson's disease", True),
    *_icd("parkinson", True, G20="Parkinson disease"),
    Code("dementia_mental", SNOMED, "52448006", "Dementia", True),
    Code("dementia_mental", SNOMED, "26929004", "Alzheimer's disease", True),
    *_icd(
        "dementia_mental", True, F00="Alzheimer", F01="Vascular", F03="Unspecified dementia", G30="Alzheimer disease"
    ),
    Code("rheumatoid_arthritis", SNOMED, "69896004", "Rheumatoid arthritis", True),
    *_icd("rheumatoid_arthritis", True, M05="Seropositive rheumatoid arthritis", M06="Other rheumatoid arthritis"),
    Code("cardiopulmonary_disease", SNOMED, "13645005", "Chronic obstructive lung disease", True),
    Code("cardiopulmonary_disease", SNOMED, "48447003", "Chronic heart failure", True),
    Code("cardiopulmonary_disease", SNOMED, "414545008", "Ischemic heart disease", True),
    *_icd(
        "cardiopulmonary_disease", True, J44="Chronic obstructive lung disease", I25="Chronic ischaemic heart disease"
    ),
    Code("malignancy", SNOMED, "363346000", "Malignant neoplastic disease", "history"),
    *_icd("malignancy", "history", Z85="Personal history of malignant neoplasm", C="Malignant neoplasms"),
)
#: Illnesses that count even if they are over: the definitions say "in the history".
LASTING = frozenset({"cerebrovascular_disease", "malignancy"})

#: Malignancies that live in bone: out of scope where one sits in the vertebra to be treated.
BONE_LESIONS: tuple[Code, ...] = (
    Code("malignancy", SNOMED, "94602001", "Secondary malignant neoplasm of vertebral column", "index_lesion"),
    Code("malignancy", SNOMED, "94222008", "Secondary malignant neoplasm of bone", "index_lesion"),
    Code("malignancy", SNOMED, "109989006", "Multiple myeloma", "index_lesion"),
    *_icd("malignancy", "index_lesion", C900="Multiple myeloma"),
    *_icd("malignancy", "index_lesion", C795="Secondary malignant neoplasm of bone and bone marrow"),
)

#: The operation, ordered or done.
AUGMENTATIONS: tuple[Code, ...] = (
    Code("procedure", CPT, "22510", "Percutaneous vertebroplasty, cervicothoracic", "PVP"),
    Code("procedure", CPT, "22511", "Percutaneous vertebroplasty, lumbosacral", "PVP"),
    Code("procedure", CPT, "22512", "Percutaneous vertebroplasty, each additional vertebral body", "PVP"),
    Code("procedure", CPT, "22513", "Percutaneous vertebral augmentation with cavity creation, thoracic", "PKP"),
    Code("procedure", CPT, "22514", "Percutaneous vertebral augmentation with cavity creation, lumbar", "PKP"),
    Code("procedure", CPT, "22515", "Percutaneous vertebral augmentation, each additional vertebral body", "PKP"),
    Code("procedure", ICD9_CM, "81.65", "Percutaneous vertebroplasty", "PVP", prefix=True),
    Code("procedure", ICD9_CM, "81.66", "Percutaneous vertebral augmentation (kyphoplasty)", "PKP", prefix=True),
    *(
        Code("procedure", DICTIONARY, choice, f"Vertebral augmentation: {choice}", choice)
        for choice in VARIABLES["procedure"].choices
    ),
)

#: Drugs against osteoporosis; ibandronate is left out, as its code does not say whether it is swallowed or infused.
BONE_DRUGS: tuple[Code, ...] = (
    Code("anti_osteoporosis_plan", ATC, "M05BA04", "Alendronic acid", "bisphosphonate_oral"),
    Code("anti_osteoporosis_plan", ATC, "M05BB03", "Alendronic acid and colecalciferol", "bisphosphonate_oral"),
    Code("anti_osteoporosis_plan", ATC, "M05BA07", "Risedronic acid", "bisphosphonate_oral"),
    Code("anti_osteoporosis_plan", ATC, "M05BA08", "Zoledronic acid", "zoledronate"),
    Code("anti_osteoporosis_plan", ATC, "M05BX04", "Denosumab", "denosumab"),
    Code("anti_osteoporosis_plan", ATC, "H05AA02", "Teriparatide", "teriparatide"),
    Code("anti_osteoporosis_plan", ATC, "M05BX06", "Romosozumab", "romosozumab"),
)

#: Systemic glucocorticoids: mg of prednisolone that one mg of the drug stands for.
STEROIDS: tuple[Code, ...] = (
    Code("steroid_use", ATC, "H02AB06", "Prednisolone", 1.0),
    Code("steroid_use", ATC, "H02AB07", "Prednisone", 1.0),
    Code("steroid_use", ATC, "H02AB04", "Methylprednisolone", 1.25),
    Code("steroid_use", ATC, "H02AB09", "Hydrocortisone", 0.25),
    Code("steroid_use", ATC, "H02AB02", "Dexamethasone", 20 / 3),
    Code("steroid_use", RXNORM, "8638", "Prednisolone", 1.0),
    Code("steroid_use", RXNORM, "8640", "Prednisone", 1.0),
    Code("steroid_use", RXNORM, "6902", "Methylprednisolone", 1.25),
    Code("steroid_use", RXNORM, "5492", "Hydrocortisone", 0.25),
    Code("steroid_use", RXNORM, "3264", "Dexamethasone", 20 / 3),
)

_VERTEBRAE = {
    "T1": "64864005", "T2": "53733008", "T3": "1626008", "T4": "73071006", "T5": "56401006", "T6": "45296009",
    "T7": "62487009", "T8": "11068009", "T9": "82687006", "T10": "7610001", "T11": "12989004", "T12": "23215003",
    "L1": "66794005", "L2": "14293000", "L3": "36470004", "L4": "11994002", "L5": "49668003",
}  # fmt: skip
#: Where: the vertebra of a body site.
LEVELS: tuple[Code, ...] = (
    *(Code("level", SNOMED, code, f"{level} vertebra", level) for level, code in _VERTEBRAE.items()),
    *(Code("level", DICTIONARY, level, f"{level} vertebra", level) for level in VARIABLES["level"].choices),
)

#: All tables by what their codes stand in; docs/ehr.md prints them.
TABLES: Mapping[str, tuple[Code, ...]] = MappingProxyType(
    {
        "Observation.code": OBSERVED,
        "Observation.value": CODED_VALUES,
        "Condition.code": (*ILLNESSES, *BONE_LESIONS),
        "ServiceRequest.code, Procedure.code": AUGMENTATIONS,
        "bodySite": LEVELS,
        "MedicationRequest, MedicationStatement": (*BONE_DRUGS, *STEROIDS),
    }
)


def found(table: Iterable[Code], codings: Iterable[Coding]) -> Code | None:
    """The first line of the table that one of the codings says, or None."""
    given = tuple(codings)
    return next((line for line in table if any(line.says(coding) for coding in given)), None)


def variable_of(codings: Iterable[Coding]) -> str | None:
    """The variable that an observation is of: by our own system, or by the table; None if we do not know it."""
    given = tuple(codings)
    own = next((code for system, code in given if system == DICTIONARY and code in VARIABLES), None)
    if own is not None:
        return own
    line = found(OBSERVED, given)
    return None if line is None else line.variable


def place_of(codings: Iterable[Coding]) -> int:
    """How far down the table the code of an observation stands, 0 for one of our own; the upper ones are preferred."""
    given = tuple(codings)
    return next((place for place, line in enumerate(OBSERVED, 1) if any(line.says(coding) for coding in given)), 0)


def codings_of(variable: str) -> list[dict[str, str]]:
    """Every coding under which an observation of the variable would be read."""
    common = [
        {"system": line.system, "code": line.code, "display": line.display}
        for line in OBSERVED
        if line.variable == variable
    ]
    return [*common, {"system": DICTIONARY, "code": variable, "display": VARIABLES[variable].label}]
