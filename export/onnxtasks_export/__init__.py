"""Turn fine-tuned Transformers checkpoints into bundles. Needs the extra `export`."""

from onnxtasks_export.report import ExportReport as ExportReport
from onnxtasks_export.report import VariantReport as VariantReport
from onnxtasks_export.report import export_bundle as export_bundle
