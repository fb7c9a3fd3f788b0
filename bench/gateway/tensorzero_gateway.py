"""TensorZero's gateway as its Python package embeds it; prints the port it chose."""
import sys
import threading
from urllib.parse import urlparse

import openai
from tensorzero import patch_openai_client

client = patch_openai_client(openai.OpenAI(api_key="unused"), config_file=sys.argv[1], async_setup=False)
print(urlparse(str(client.base_url)).port, flush=True)
threading.Event().wait()
