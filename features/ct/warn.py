"""What a reader of the numbers must know about the scan they come from."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from features.ct.measure import Measured
from features.ct.raw import Header
from features.ct.warnings import entry

Json = dict[str, Any]
THICK_SLICES_MM = 3.0
FEWEST_SLICES = 5
#: Kernels that sharpen edges raise noise and cortical HU: Siemens (B60 and up, Br/Hr/Bl 60 and up), GE, Philips, Canon.
_SHARP = re.compile(r"^(?:[BHUTID][RLVPUF]?[6-9]\d|BONE|EDGE|LUNG|DETAIL|ULTRA|Y[A-E]|E[A-C]?$|D$|FC(?:3|5|8)\d)", re.I)


def scan_warnings(scan: Header) -> list[Json]:
    """Warnings that hold for every value of a scan: ``code``, ``level`` (None) and ``detail``."""
    known = scan.acquisition
    found: list[tuple[str, str]] = []
    missing = [n for n, v in (("kVp", known.kvp), ("kernel", known.kernel), ("contrast", known.contrast)) if v is None]
    if missing:
        found.append(
            ("acquisition_unknown", f"The scan does not state its {', '.join(missing)}: CT values may be off.")
        )
    if known.kvp is not None and abs(known.kvp - 120) > 1:
        found.append(("kvp_not_120", f"Scanned at {known.kvp:.0f} kVp: CT values differ from those at 120 kVp."))
    if known.contrast:
        found.append(("contrast_given", "Contrast was given: it raises the CT value of bone by some 10 to 30 HU."))
    if known.kernel is not None and _SHARP.match(known.kernel):
        found.append(("sharp_kernel", "A sharp kernel was used: noise and the shell's density are raised."))
    spacing = np.sqrt((np.array(scan.affine)[:3, :3] ** 2).sum(axis=0))
    thickness = max(float(spacing.max()), known.slice_thickness_mm or 0.0)
    if thickness >= THICK_SLICES_MM:
        found.append(("thick_slices", f"Slices or voxels of {thickness:.1f} mm: heights are less certain."))
    if known.gantry_tilt_deg > 0.5:
        detail = f"The gantry was tilted by {known.gantry_tilt_deg:.1f} degrees: taken into account."
        found.append(("gantry_tilt", detail))
    return [entry(code, None, detail) for code, detail in found]


def vertebra_warnings(one: Measured, scan: Header, moment: str) -> list[Json]:
    """Warnings about one vertebra."""
    found = list(one.warnings)
    if one.heights is None:
        detail = "The field of view cuts the body: heights and volume are refused, the CT value is of the part seen."
        found.append(("cut_by_field_of_view", detail))
    region = one.density.ellipse_region
    if one.cement is not None and moment == "preop":
        detail = "Cement was found: this level has been treated, and none of its values is one from before surgery."
        found.append(("cement_in_body", detail))
    elif one.cement is not None:
        found.append(("cement_proposed", "Cement and leaks are a proposal: a reader has to confirm them."))
    elif max(region.foreign_share, one.density.eroded.foreign_share) > 0.002:
        found.append(("metal_or_cement", "Metal or cement lies in the region of the CT value: it was left out."))
    if one.cement is None and moment == "postop":
        found.append(("no_cement_found", "No cement was found in this body: nothing is said of cement or leaks."))
    if region.sclerosis_share > 0.02:
        share = 100 * region.sclerosis_share
        found.append(("sclerosis", f"{share:.0f} % of the region of the CT value is sclerotic: it was left out."))
    if region.gas_share > 0.002:
        found.append(("gas", "Gas lies in the region of the CT value: it was left out."))
    if not math.isfinite(region.mean_hu):
        found.append(("no_ct_value", "Too little trabecular bone is left for a CT value."))
    if float(np.nanmedian(one.body.top - one.body.bottom)) < FEWEST_SLICES * float(one.scan.spacing_mm.max()):
        detail = f"The body is less than {FEWEST_SLICES} voxels tall: its CT value holds some of its endplates."
        found.append(("few_slices", detail))
    if not one.shell.assessable:
        found.append(("breach_not_assessable", f"Breaches are not judged: {one.shell.reason}."))
    return [entry(code, one.level, detail) for code, detail in found]
