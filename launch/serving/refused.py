"""Why something is not done, as a client is told."""


class RefusedError(ValueError):
  """One line for whoever asked.

  Attributes:
    status: of HTTP: 413 too large, 404 not there, 409 not now, 503 full; else
      422, a value that cannot be.
  """

  def __init__(self, line: str, status: int = 422):
    super().__init__(line)
    self.status = status
