"""What all datasets share: the Source protocol, splits, folders, tables, frames of videos."""
