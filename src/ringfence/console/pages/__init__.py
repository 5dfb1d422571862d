"""One file for each page, with its ``ROUTES``; ``ringfence.console.app`` names them."""
