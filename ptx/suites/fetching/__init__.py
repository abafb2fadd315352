"""Published data: download, verify, unpack."""
