"""Everybody: from the adults of `anatomy`, who stand straight and breathe in, to whoever is sent for a film.

Each step changes a person's measures as growth, habitus, breath and stand change them on frontal films: infants have
short wide chests, large hearts, a thymus and thin bones; the heavy scatter and hide their bases; the ill breathe
shallowly, with one dome high, and lean or turn away from the film.
"""

from __future__ import annotations

from dataclasses import replace

from ...draws import Draw
from .anatomy import Anatomy

CHILDREN = 0.25
"""Their share."""


def vary(person: Anatomy, rng: Draw) -> Anatomy:
    """An adult as drawn by `anatomy.draw_anatomy`, made anybody by `rng` alone."""
    if rng.random() < CHILDREN:
        person = _child(person, rng.uniform(0.15, 1.0), rng)
    return _standing(_breathing(_shaped(person, rng), rng), rng)


def _within(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def _child(person: Anatomy, young: float, rng: Draw) -> Anatomy:
    """`young`: 0 = grown up, 1 = an infant."""
    thymus = max(rng.normal(0.4, 0.6), 0.0) * young * young
    return replace(
        person,
        angle_y=person.apex_y + (person.angle_y - person.apex_y) * (1.0 - 0.20 * young),
        apex_x=person.apex_x * (1.0 - 0.12 * young),
        dome_right=person.dome_right * (1.0 - 0.15 * young),
        cage_roundness=person.cage_roundness * (1.0 - 0.12 * young),
        cardiothoracic_ratio=person.cardiothoracic_ratio + 0.08 * young,
        heart_top=person.heart_top - 0.06 * young,
        mediastinum_width=person.mediastinum_width + 0.006 * young + 0.025 * thymus,
        mediastinum_cm=person.mediastinum_cm * (1.0 - 0.45 * young),
        aortic_knob=person.aortic_knob * (1.0 - 0.8 * young),
        clavicle_y=person.clavicle_y - 0.03 * young,
        clavicle_thickness=person.clavicle_thickness * (1.0 - 0.15 * young),
        clavicle_cm=person.clavicle_cm * (1.0 - 0.5 * young),
        rib_slope=person.rib_slope - 0.035 * young,
        rib_thickness=person.rib_thickness * (1.0 - 0.15 * young),
        rib_cm=person.rib_cm * (1.0 - 0.45 * young),
        spine_cm=person.spine_cm * (1.0 - 0.35 * young),
        shoulder_slope=person.shoulder_slope - rng.uniform(0.0, 0.22) * young,
        arm_gap=person.arm_gap + 0.05 * young,
        body_margin=person.body_margin * (1.0 - 0.2 * young),
        depth_cm=person.depth_cm * (1.0 - 0.45 * young),
        lung_density=person.lung_density + 0.05 * young,
        breast_cm=person.breast_cm * (1.0 - young),
        stomach_gas_cm=person.stomach_gas_cm + 3.0 * young,
    )


def _shaped(person: Anatomy, rng: Draw) -> Anatomy:
    """Habitus, and each organ's own size and shape."""
    heavy = _within(rng.normal(0.3, 1.2), -1.5, 3.0)
    ratio = person.cardiothoracic_ratio + rng.normal(0.02, 0.05)
    height = (person.angle_y - person.apex_y) * (1.0 - 0.02 * heavy + rng.normal(0.0, 0.05))
    return replace(
        person,
        half_width=_within(person.half_width * (1.0 + rng.normal(0.0, 0.05)), 0.29, 0.41),
        angle_y=person.apex_y + height,
        apex_lift_left=person.apex_lift_left + rng.normal(0.0, 0.012),
        angle_drop_left=_within(person.angle_drop_left + rng.normal(0.0, 0.025), -0.05, 0.06),
        cage_roundness=_within(person.cage_roundness + rng.normal(0.0, 0.35), 1.15, 3.0),
        cardiothoracic_ratio=_within(ratio, 0.34, 0.70),
        heart_right_share=_within(person.heart_right_share + rng.normal(0.0, 0.04), 0.18, 0.44),
        heart_top=_within(person.heart_top + rng.normal(0.0, 0.035), 0.31, 0.54),
        heart_waist=_within(person.heart_waist + rng.normal(0.0, 0.4), -1.2, 1.4),
        mediastinum_width=_within(person.mediastinum_width * (1.0 + rng.normal(0.05, 0.15)), 0.04, 0.115),
        scoliosis=_within(person.scoliosis * (1.0 + 3.0 * rng.random() * rng.random()), -0.05, 0.05),
        rib_slope=_within(person.rib_slope + rng.normal(0.0, 0.02), -0.03, 0.12),
        clavicle_y=_within(person.clavicle_y + rng.normal(0.0, 0.02), 0.03, 0.17),
        scapula_overlap=_within(person.scapula_overlap + rng.normal(0.015, 0.03), -0.05, 0.11),
        body_margin=_within(person.body_margin + 0.02 * heavy, 0.03, 0.22),
        body_taper=rng.uniform(0.2, 1.0),
        depth_cm=person.depth_cm * (1.0 + 0.08 * heavy),
        breast_cm=_within(person.breast_cm * (1.0 + 0.2 * heavy), 0.0, 4.0),
        breast_y=_within(person.breast_y + rng.normal(0.0, 0.05), 0.50, 0.85),
        marking=_within(person.marking * (1.0 + rng.normal(0.0, 0.25)), 0.3, 2.4),
    )


def _breathing(person: Anatomy, rng: Draw) -> Anatomy:
    """How deeply, and how high each dome then stands."""
    breath = rng.normal(-0.8, 1.1)
    ratio = _within(person.cardiothoracic_ratio * (1.0 - 0.02 * breath), 0.32, 0.68)
    height = (person.angle_y - person.apex_y) * (1.0 + 0.04 * _within(breath, -3.0, 1.5))
    right = _within(person.dome_right - 0.012 * breath + rng.normal(0.0, 0.022), 0.03, 0.20)
    return replace(
        person,
        angle_y=person.apex_y + height,
        dome_right=right,
        dome_gap=_within(person.dome_gap + rng.normal(0.0, 0.03), -0.06, right - 0.02),
        cardiothoracic_ratio=ratio,
        heart_right_share=max(person.heart_right_share, 1.0 - 0.41 / ratio),  # its apex stays inside the ribs
        lung_density=_within(person.lung_density * (1.1 - 0.08 * breath), 0.10, 0.45),
    )


def _standing(person: Anatomy, rng: Draw) -> Anatomy:
    """Off centre, near to the film or far from it, leaning and turned; at most a small part of the lungs is cut off."""
    height, wide = person.angle_y - person.apex_y, 2.0 * person.half_width
    astray = 2.5 if rng.random() < 0.1 else 1.0
    turn = _within(rng.normal(0.0, 0.012), -0.04, 0.04)
    aspect = _within(person.aspect + rng.normal(0.0, 0.03), 0.88, 1.12)
    size = _within(rng.normal(1.0, 0.05), 0.80, min(0.94 * aspect / height, 0.96 / (wide * aspect), 1.25))
    tilt = _within(astray * rng.normal(0.0, 0.024), -0.10, 0.10)
    across = max(0.5 - 0.5 * wide * size * aspect, 0.0) + 0.015
    down = max(0.5 - 0.5 * height * size / aspect, 0.0) + 0.015
    middle = person.apex_y + 0.5 * height - 0.5
    return replace(
        person,
        size=size,
        aspect=aspect,
        tilt=tilt,
        shift_x=_within(astray * rng.normal(0.0, 0.011), -across, across) + middle * size * tilt,
        shift_y=_within(astray * rng.normal(-0.01, 0.015), -down, down) - middle * size / aspect,
        turn=turn,
        side_difference=_within(person.side_difference - 0.5 * turn + rng.normal(0.0, 0.006), -0.04, 0.04),
    )
