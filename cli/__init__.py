"""Commands for operators: check a deployment, create its topic, publish test events.

They need nothing beyond requirements.txt. This package must not know the web side, the demo, or how the product is
served.
"""
