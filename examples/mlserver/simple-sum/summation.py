# SPDX-License-Identifier: Apache-2.0
"""The sum of the inputs: one value per series in each tensor, one per series out, in order."""

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Sum(MLModel):
    """Adds all its inputs element by element."""

    async def load(self) -> bool:
        return True

    async def predict(self, request: InferenceRequest) -> InferenceResponse:
        columns = [NumpyCodec.decode_input(tensor).astype(np.float64) for tensor in request.inputs]
        output = NumpyCodec.encode_output("sum_result", np.sum(columns, axis=0))
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=[output])
