"""A dataset on disk becomes ImageRecords; one file per dataset."""
