"""The JSON schema of the status document: `python -m aftertone.status.schema > docs/schemas/status.json`."""

import json

from aftertone.status.document import Status


def schema() -> str:
    """As text; docs/schemas/status.json is this."""
    return json.dumps(Status.model_json_schema(mode="serialization"), ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    print(schema(), end="")
