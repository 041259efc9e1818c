# SPDX-License-Identifier: Apache-2.0
"""A multiple of the input: one value per series in, one per series out, in the same order."""

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Scaler(MLModel):
    """Multiplies by the request's `scale_factor`, else by the one in model-settings.json."""

    async def load(self) -> bool:
        self._factor = float((self.settings.parameters.extra or {}).get("scale_factor", 2.0))
        return True

    async def predict(self, request: InferenceRequest) -> InferenceResponse:
        # MLServer's protocol has no parameters of type double; foreglow sends them as text.
        parameters = request.parameters.model_dump() if request.parameters else {}
        factor = float(parameters.get("scale_factor") or self._factor)
        values = NumpyCodec.decode_input(request.inputs[0]).astype(np.float64) * factor
        output = NumpyCodec.encode_output("scaled_result", values)
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=[output])
