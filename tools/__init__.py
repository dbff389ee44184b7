"""Scripts for people who work on Greenwave; the product does not import them."""
