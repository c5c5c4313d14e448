"""Everything that implements `seke.vlm.VLM`."""
