"""The signal record as it is published: one flat object with the `ml_*` fields at top level.

Belongs here: the model that describes what `SignalRecord.flat` gives, for documentation and schemas. Does not belong:
the record itself (`signal`), the line of the log around it (`operations.signal_line`).
"""

from typing import Any

from pydantic import create_model

from eth_pipeline.contracts.signal import MlFields, SignalRecord

_FIELDS: dict[str, Any] = {
    name: (field.annotation, field) for name, field in SignalRecord.model_fields.items() if name != "ml"
}
FLAT_SIGNAL: type[MlFields] = create_model(
    "Signal", __base__=MlFields, __doc__="One hour's record, the `ml_*` fields at top level as in the log.", **_FIELDS
)
