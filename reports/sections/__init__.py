"""Sections of a drift report, one per file, in the order a person reads them. A new one registers itself here."""

from reports.sections.attribution import Attribution
from reports.sections.base import Section
from reports.sections.class_mix import ClassMix
from reports.sections.columns import Columns
from reports.sections.distributions import Distributions
from reports.sections.embedding_map import EmbeddingMap
from reports.sections.evidence import Evidence
from reports.sections.flagged_over_time import FlaggedOverTime
from reports.sections.gallery import Gallery
from reports.sections.new_kinds import NewKinds

SECTIONS: tuple[Section, ...] = (
    FlaggedOverTime(),
    Columns(),
    Attribution(),
    NewKinds(),
    Evidence(),
    Gallery(),
    Distributions(),
    ClassMix(),
    EmbeddingMap(),
)

__all__ = ["SECTIONS", "Section"]
