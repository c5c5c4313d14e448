"""What evaluate.py alone takes: experiments and scales. Hydra finds it by the search path of evaluate.yaml."""
