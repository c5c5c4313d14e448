"""Everything that implements `seke.core.vlm.VLM`."""
