"""Bone cements: what each product is, how viscous when injected, and where that is known from.

A frozen catalogue. ``provenance`` is kept honestly: an entry recalled from memory is marked so and its class still used
as a default, because a stated viscosity or stage always wins over it. Compressive strength has no evidence as a
predictor of leakage: it is catalogued and not modelled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

ViscosityClass = Literal["low", "medium", "high"]
Provenance = Literal["paper", "read_in_source", "from_memory"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cement:
    """One product.

    ``viscosity`` is the class when injected as usual; None when the sources contradict each other or put the product
    between two classes (``conflict`` says which), or when the material is no PMMA. ``timed`` holds measured states:
    (minutes from the start of mixing, class), ascending.
    Strengths in MPa are ISO 5833 figures; ``monomer_release_ug_g`` is after 14 days.
    """

    name: str
    maker: str
    material: str
    provenance: Provenance
    source: str
    viscosity: ViscosityClass | None = None
    stated_viscosity: str = ""
    conflict: str = ""
    is_pmma: bool = True
    timed: tuple[tuple[float, ViscosityClass], ...] = ()
    radiopacifier: str = ""
    powder_liquid: str = ""
    compressive_strength_mpa: float | None = None
    bending_strength_mpa: float | None = None
    bending_modulus_mpa: float | None = None
    monomer_release_ug_g: float | None = None
    working_time: str = ""
    setting_time: str = ""
    notes: str = ""


#: ISO 5833:2002, set acrylic cement, lower limits in MPa. The two bending limits are from memory.
ISO_5833_COMPRESSIVE_STRENGTH_MPA = 70.0
ISO_5833_BENDING_STRENGTH_MPA = 50.0
ISO_5833_BENDING_MODULUS_MPA = 1800.0

_FENG = "Feng 2022"
_JOSR = "J Orthop Surg Res 2020, doi 10.1186/s13018-020-01835-y"
_BENCH = "Int J Spine Surg 2010, doi 10.1016/j.esas.2010.01.001 (bench test of leakage by time after mixing)"
_JASPER = "Jasper 2002"

_CEMENTS = {
    "alliment": Cement(
        name="Alliment S-MV-20",
        maker="Beijing Bonsci",
        material="PMMA copolymer",
        viscosity="medium",
        radiopacifier="BaSO4, share not given",
        powder_liquid="amount not given",
        compressive_strength_mpa=88.39,
        bending_strength_mpa=55.58,
        bending_modulus_mpa=3279.32,
        monomer_release_ug_g=305.26,
        provenance="paper",
        source=_FENG,
        notes="leak in 6 of 24 vertebrae, refracture in 2 of 15 patients",
    ),
    "osteopal-v": Cement(
        name="Osteopal V",
        maker="Heraeus Medical",
        material="poly(MA, MMA)",
        stated_viscosity="high (Feng 2022); high and low (J Orthop Surg Res 2020); low (maker, from memory)",
        conflict="one study used it as both its high- and its low-viscosity arm, Feng 2022 calls it high, "
        "the maker's line is remembered as low",
        radiopacifier="ZrO2 (Feng 2022), about 45 % (from memory)",
        powder_liquid="26 g / 10 ml (from memory)",
        compressive_strength_mpa=87.0,
        bending_strength_mpa=58.0,
        bending_modulus_mpa=3100.0,
        provenance="paper",
        source=f"{_FENG}; {_JOSR}",
        notes="leak in 4 of 17 vertebrae; 20.6 % in the high and 24.2 % in the low arm of the other study",
    ),
    "eurofix-vtp": Cement(
        name="Eurofix VTP",
        maker="not stated",
        material="PMMA",
        viscosity="low",
        provenance="read_in_source",
        source=_JOSR,
        notes="leak 20.6 %",
    ),
    "weigao-high-viscosity-barium-fortified-pmma": Cement(
        name="Weigao high-viscosity barium-fortified PMMA",
        maker="Weigao Medical",
        material="PMMA",
        viscosity="high",
        radiopacifier="BaSO4",
        working_time="injected when mushy and sticky, 1-2 min between portions",
        provenance="paper",
        source="BMC Musculoskelet Disord 2022, doi 10.1186/s12891-022-05680-4",
        notes="leak in 8 of 35 and 3 of 24 kyphoplasties for metastasis",
    ),
    "kyphon-hv-r": Cement(
        name="Kyphon HV-R",
        maker="Medtronic",
        material="MMA-styrene copolymer 68 % w/w, PMMA, BaSO4",
        viscosity="high",
        stated_viscosity="delivered in a highly viscous state",
        radiopacifier="BaSO4 about 30 %",
        powder_liquid="20 g / 9.0 g",
        provenance="read_in_source",
        source="instructions for use, M708348B154E Rev F",
        notes="chart of working times not found",
    ),
    "kyphon-xpede": Cement(
        name="Kyphon Xpede",
        maker="Medtronic",
        material="PMMA",
        stated_viscosity="medium to high, reaches dough sooner",
        conflict="stands between two classes",
        radiopacifier="BaSO4 about 30 %",
        powder_liquid="20 g / 9 g (from memory)",
        working_time="about 8 min after a wait of 5 min at 22 °C (from memory)",
        provenance="from_memory",
        source="named on the maker's page",
    ),
    "vertaplex-hv": Cement(
        name="VertaPlex HV",
        maker="Stryker",
        material="PMMA",
        viscosity="high",
        radiopacifier="BaSO4 6 g, 30 % of the powder",
        powder_liquid="14 g polymer + 6 g BaSO4 / 9.5 ml",
        provenance="read_in_source",
        source="FDA 510(k) K150582",
    ),
    "vertaplex": Cement(
        name="VertaPlex",
        maker="Stryker",
        material="PMMA",
        stated_viscosity="low to medium",
        conflict="stands between two classes",
        radiopacifier="BaSO4 30 % (from memory)",
        provenance="read_in_source",
        source="FDA 510(k) K072118",
    ),
    "spineplex": Cement(
        name="SpinePlex",
        maker="Stryker",
        material="PMMA",
        viscosity="low",
        radiopacifier="BaSO4 30 % (from memory)",
        provenance="read_in_source",
        source="named as predicate in FDA 510(k) K072118",
    ),
    "confidence": Cement(
        name="Confidence",
        maker="DePuy Spine",
        material="PMMA",
        viscosity="high",
        stated_viscosity="high at once",
        timed=((3.5, "high"), (6.5, "high")),
        radiopacifier="BaSO4 30 % (from memory)",
        provenance="read_in_source",
        source=_BENCH,
        notes="bench leak 1.5 ± 1.2 g at 3.5 min, 0.92 ± 0.6 g at 6.5 min",
    ),
    "vertebroplastic": Cement(
        name="Vertebroplastic",
        maker="DePuy Spine",
        material="PMMA",
        viscosity="low",
        timed=((3.5, "low"), (6.5, "low"), (9.5, "medium")),
        radiopacifier="BaSO4 25 % (from memory)",
        provenance="read_in_source",
        source=_BENCH,
        notes="bench leak 4.0 ± 1.2 g at 3.5 min, 2.6 ± 1.2 g at 9.5 min: waiting moves a low-viscosity cement part of "
        "the way towards a high one, so its last state is medium; no leak is printed for 6.5 min",
    ),
    "synthes-medium-viscous-cement": Cement(
        name="Synthes medium-viscous cement (Vertecem V+ by memory)",
        maker="Synthes",
        material="PMMA + HA (from memory)",
        viscosity="medium",
        radiopacifier="ZrO2 40 % + HA 15 % (from memory)",
        powder_liquid="26 g / 10 ml (from memory)",
        working_time="no waiting time",
        setting_time="about 11 min after entering 37 °C",
        provenance="read_in_source",
        source="two abstracts of 2011 (hindawi archive 2011/571728, ISRN 2011/780510), which name no brand",
    ),
    "vertecem": Cement(
        name="Vertecem (older)",
        maker="Synthes",
        material="PMMA",
        viscosity="low",
        radiopacifier="ZrO2 + HA",
        provenance="from_memory",
        source="from memory, moderate confidence",
    ),
    "simplex-p": Cement(
        name="Simplex P with 20 or 30 % BaSO4",
        maker="Stryker Howmedica",
        material="PMMA",
        viscosity="low",
        radiopacifier="BaSO4 10 % as supplied, 20-30 % modified",
        powder_liquid="40 g / 20 ml",
        provenance="read_in_source",
        source=_JASPER,
        notes="off-label in vertebroplasty; compressive modulus 2000-2700 MPa over PMMA cements",
    ),
    "cranioplastic": Cement(
        name="Cranioplastic with BaSO4",
        maker="DePuy CMW",
        material="PMMA",
        viscosity="low",
        radiopacifier="BaSO4 10-30 % added",
        provenance="read_in_source",
        source=_JASPER,
        notes="historical; compressive modulus 2000-2700 MPa",
    ),
    "orthocomp": Cement(
        name="Orthocomp / Cortoss",
        maker="Orthovita",
        material="bis-GMA composite with glass-ceramic",
        is_pmma=False,
        stated_viscosity="low to medium, mixed on demand",
        radiopacifier="barium-aluminium-borosilicate glass",
        powder_liquid="paste / paste",
        provenance="read_in_source",
        source=f"{_JASPER}; Cortoss from memory",
        notes="no MMA; strength 2-3 times that of PMMA; kept out of viscosity",
    ),
    "bonesource": Cement(
        name="BoneSource",
        maker="Stryker",
        material="calcium phosphate",
        is_pmma=False,
        radiopacifier="none",
        provenance="read_in_source",
        source="PMC7974780",
        notes="resorbable; Feng 2022 excludes such fillers; restores less strength than PMMA",
    ),
    "mendec-spine": Cement(
        name="Mendec Spine",
        maker="Tecres",
        material="PMMA",
        stated_viscosity="low, then medium; maker perhaps medium",
        conflict="sources vary between low and medium",
        radiopacifier="BaSO4 30 %",
        provenance="from_memory",
        source="from memory, low confidence",
    ),
    "bonos-inject": Cement(
        name="BonOs Inject",
        maker="aap / OSARTIS",
        material="PMMA",
        stated_viscosity="medium to high",
        conflict="stands between two classes",
        radiopacifier="ZrO2 45 %",
        powder_liquid="24 g / 10 ml",
        provenance="from_memory",
        source="from memory, low confidence",
    ),
    "stabilit-er2": Cement(
        name="StabiliT ER2",
        maker="DFINE / Merit",
        material="PMMA, warmed by radio frequency",
        viscosity="high",
        stated_viscosity="ultra-high",
        radiopacifier="BaSO4 30 %",
        working_time="extended, activated by radio frequency",
        provenance="from_memory",
        source="from memory",
    ),
    "f20": Cement(
        name="F20 / Opacity+ / Spine-Fix",
        maker="Teknimed",
        material="PMMA",
        stated_viscosity="low / high / medium",
        conflict="three products of a different viscosity each share this entry",
        radiopacifier="BaSO4 30 % / ZrO2 45 %",
        provenance="from_memory",
        source="from memory, low confidence",
    ),
    "cohesion": Cement(
        name="Cohesion",
        maker="Vexim / Stryker",
        material="PMMA",
        viscosity="high",
        radiopacifier="ZrO2 45 %",
        provenance="from_memory",
        source="from memory, low confidence",
        notes="used with SpineJack",
    ),
    "activos": Cement(
        name="ActivOs / KyphX ActivOs 10",
        maker="Medtronic",
        material="PMMA + 10 % HA",
        viscosity="high",
        radiopacifier="BaSO4 30 % + HA 10 %",
        provenance="from_memory",
        source="from memory, moderate confidence",
    ),
}

#: Every product by its identifier, in the order of the published tables first.
CEMENTS: Mapping[str, Cement] = MappingProxyType(_CEMENTS)
