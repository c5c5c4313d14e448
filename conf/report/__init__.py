"""What report.py alone takes: experiments. Hydra finds it by the search path of report.yaml."""
