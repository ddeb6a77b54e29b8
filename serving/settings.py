"""What the gateway accepts, and how it works through it."""

from pydantic import BaseModel, Field


class ServingSettings(BaseModel):
    """Settings of the prediction gateway."""

    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 for every one of this machine")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 for any free one")
    name: str | None = Field(
        None,
        description="what the model is called on pages; by default the file's name, or its folder's for an export.pkl",
    )
    record_inputs: bool = Field(True, description="keep what was sent (images, rows) beside the predictions")
    monitor: bool = Field(True, description="run the scheduled monitor beside the gateway, in a process of its own")
    maximum_items: int = Field(64, ge=1, description="inputs in one request")
    maximum_body_bytes: int = Field(32 * 1024 * 1024, ge=1, description="size of one request")
    body_seconds: float = Field(30.0, gt=0, description="time for a request's body to arrive")
    maximum_megapixels: float = Field(50.0, gt=0, description="size of one image, read from its header")
    maximum_batch: int = Field(32, ge=1, description="inputs in one forward pass")
    maximum_waiting: int = Field(256, ge=1, description="inputs that wait; more are refused with 503")
    answer_seconds: float = Field(30.0, gt=0, description="time to answer a request; later it is refused with 503")
    workers: int = Field(
        1, ge=1, description="gateway processes that share the port; each loads the learners for itself"
    )
    device: str = Field("auto", description='where models run: "cpu", "cuda", or "auto" for the GPU where there is one')
    embedding_layer: str | None = Field(
        None,
        description="the layer whose input is the embedding; by default the reference's, or the last layer with weights",
    )
    decode_threads: int | None = Field(
        None, ge=0, description="threads that decode inputs beside the forward pass; by default chosen by measuring"
    )
    grace_seconds: float = Field(20.0, gt=0, description="time to finish what was accepted after SIGTERM")
