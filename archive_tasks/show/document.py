"""The type of the documents that `--json` prints. Their keys are a contract: they stay, further ones may come."""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]
