"""`python -m claude_code_api.offline [PORT]`: the offline model by itself, for tests and benchmarks."""

import sys

import uvicorn

from claude_code_api.offline.server import create_app

if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8100
    uvicorn.run(create_app(), host="127.0.0.1", port=port, log_level="warning")
