"""Licence terms of the sources' pictures, in our own words: a reminder for dataset cards, not legal advice.

Each entry sums up what the owners publish; what binds is the agreement that was signed with them. Ask the owners.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple


class Licence(NamedTuple):
    """What a user of one source must know before passing anything on."""

    title: str
    terms: str
    """In one sentence."""
    ask: str
    """Who gives access."""
    citation: str


LICENCES: Final[Mapping[str, Licence]] = MappingProxyType(
    {
        "ck_plus": Licence(
            "CK+ (Extended Cohn-Kanade)",
            "Non-commercial research under a signed agreement; pictures must not be passed on, and only those of "
            "subjects who consented may be printed.",
            "the Affect Analysis Group, University of Pittsburgh (Jeffrey Cohn)",
            "Lucey, Cohn, Kanade, Saragih, Ambadar & Matthews, CVPR Workshops 2010",
        ),
        "raf_db": Licence(
            "RAF-DB (Real-world Affective Faces)",
            "Non-commercial research only; neither the pictures, which come from the Internet, nor anything derived "
            "from them may be passed on.",
            "PRIS, Beijing University of Posts and Telecommunications (Weihong Deng, http://whdeng.cn)",
            "Li, Deng & Du, CVPR 2017",
        ),
        "affectnet": Licence(
            "AffectNet",
            "Research under an agreement that the head of an academic lab signs; pictures must not be passed on.",
            "Mohammad Mahoor, University of Denver (http://mohammadmahoor.com)",
            "Mollahosseini, Hasani & Mahoor, IEEE Transactions on Affective Computing 10(1), 2019",
        ),
        "disfa": Licence(
            "DISFA (Denver Intensity of Spontaneous Facial Action)",
            "Non-commercial research under a signed agreement; videos and frames must not be passed on.",
            "Mohammad Mahoor, University of Denver (http://mohammadmahoor.com)",
            "Mavadati, Mahoor, Bartlett, Trinh & Cohn, IEEE Transactions on Affective Computing 4(2), 2013",
        ),
        "bp4d": Licence(
            "BP4D-Spontaneous",
            "Non-commercial research under an agreement signed by the institution; frames must not be passed on.",
            "Lijun Yin, Binghamton University",
            "Zhang, Yin, Cohn, Canavan, Reale, Horowitz, Liu & Girard, Image and Vision Computing 32(10), 2014",
        ),
        "aff_wild2": Licence(
            "Aff-Wild2",
            "Non-commercial research under a signed end user agreement; videos and frames must not be passed on.",
            "Dimitrios Kollias, Queen Mary University of London, and iBUG, Imperial College London",
            "Kollias & Zafeiriou, BMVC 2019",
        ),
        "dfew": Licence(
            "DFEW (Dynamic Facial Expression in the Wild)",
            "Non-commercial research, with a password of the owners; clips of films, which must not be passed on.",
            "Xingxun Jiang and Yuan Zong, Southeast University (https://dfew-dataset.github.io)",
            "Jiang, Zong, Zheng, Tang, Xia, Lu & Liu, ACM Multimedia 2020",
        ),
        "mafw": Licence(
            "MAFW (Multi-modal Affective database in the Wild)",
            "Non-commercial research under a signed agreement; clips of films, which must not be passed on.",
            "Yuanyuan Liu, China University of Geosciences, Wuhan (https://mafw-database.github.io/MAFW)",
            "Liu, Dai, Feng, Wang, Yin, Zeng & Shan, ACM Multimedia 2022",
        ),
        "ravdess": Licence(
            "RAVDESS (Ryerson Audio-Visual Database of Emotional Speech and Song)",
            "Creative Commons BY-NC-SA 4.0: clips may be passed on without profit, with the authors' names and under "
            "the same licence.",
            "Steven Livingstone and Frank Russo (https://zenodo.org/records/1188976)",
            "Livingstone & Russo, PLoS ONE 13(5), 2018",
        ),
        "crema_d": Licence(
            "CREMA-D (Crowd-sourced Emotional Multimodal Actors Dataset)",
            "Open Database License 1.0, contents under the Database Contents License 1.0: may be passed on with the "
            "authors' names, databases made of it under the same licence.",
            "David Cooper (https://github.com/CheyneyComputerScience/CREMA-D)",
            "Cao, Cooper, Keutmann, Gur, Nenkova & Verma, IEEE Transactions on Affective Computing 5(4), 2014",
        ),
        "emonet_face": Licence(
            "EmoNet-Face",
            "Creative Commons Attribution 4.0: AI-made faces of nobody, which may be used, shown and passed on with "
            "the authors' names.",
            "LAION (https://huggingface.co/laion)",
            "Schuhmann, Kaczmarczyk, Rabby, Friedrich, Kraus, Kalyan, Nadi, Nguyen, Kersting & Auer, NeurIPS Datasets "
            "and Benchmarks 2025",
        ),
        "ferplus": Licence(
            "FERPlus (FER2013 with ten people's votes)",
            "Research; the votes are public, the pictures are FER2013's, which come from the Internet and belong to "
            "others.",
            "https://github.com/microsoft/FERPlus for the votes, the owners of FER2013 for the pictures",
            "Barsoum, Zhang, Canton Ferrer & Zhang, ICMI 2016",
        ),
        "sfew": Licence(
            "SFEW 2.0 (Static Facial Expressions in the Wild)",
            "Non-commercial research under a signed agreement; frames of films, which must not be passed on.",
            "Abhinav Dhall and co-authors, Australian National University",
            "Dhall, Goecke, Lucey & Gedeon, ICCV Workshops 2011",
        ),
        "ferbench": Licence(
            "FERBench",
            "The questions are public; the pictures are those of RAF-DB, FERPlus, AffectNet and SFEW 2.0, each under "
            "its owners' terms.",
            "https://github.com/zfkarl/UniFER for the questions, the owners of the four datasets for the pictures",
            "the authors of UniFER, arXiv 2511.00389, 2025",
        ),
        "faba": Licence(
            "FABA-Bench (the test side of FABA-Instruct)",
            "The pictures are AffectNet's, under its owners' agreement: they must not be passed on; the authors' "
            "repository is under the MIT licence.",
            "https://github.com/JackYFL/EmoLA for the annotations, Mohammad Mahoor for the pictures",
            "Li, Dao, Bao, Tan, Chen, Liu & Kong, ECCV 2024",
        ),
        "fea_20k": Licence(
            "FEA-20K",
            "Annotations alone are published; the pictures are those of FABA-Instruct, BP4D, DISFA, RAF-AU, FER2013, "
            "AffectNet and RAF-DB, each under its owners' terms.",
            "https://huggingface.co/datasets/QBiscuits/FEA-20K for the annotations, the seven owners for the pictures",
            "Wu, Shen, Yan, Sun, Xia, Huang & Cao, AAAI 2026 (arXiv 2511.10254, withdrawn in June 2026)",
        ),
        "facexbench": Licence(
            "FaceXBench",
            "No licence is stated; the pictures about expressions, which are with the questions, are AffectNet's and "
            "RAF-DB's, under their owners' terms.",
            "https://github.com/Kartik-3004/facexbench",
            "Narayan, VS & Patel, arXiv 2501.10360, 2025",
        ),
        "raf_au": Licence(
            "RAF-AU",
            "Non-commercial research only; the pictures come from the Internet and must not be passed on.",
            "PRIS, Beijing University of Posts and Telecommunications (Weihong Deng, http://whdeng.cn)",
            "Yan, Li, Que, Pei & Deng, ACCV 2020",
        ),
        "emoset": Licence(
            "EmoSet",
            "Non-commercial research; the pictures belong to the people who put them on the Internet.",
            "the Visual Computing Research Center, Shenzhen University (https://vcc.tech/EmoSet)",
            "Yang, Huang, Ding, Li, Cohen-Or & Huang, ICCV 2023",
        ),
        "webemo": Licence(
            "WEBEmo",
            "Research; a list of addresses of stock photographs, which belong to their photographers and agencies.",
            "Rameswar Panda and co-authors",
            "Panda, Zhang, Li, Lee, Lu & Roy-Chowdhury, ECCV 2018",
        ),
        "emotion6": Licence(
            "Emotion6",
            "Research; pictures found on Flickr, which belong to the people who put them there.",
            "Kuan-Chuan Peng, Cornell University",
            "Peng, Chen, Sadovnik & Gallagher, CVPR 2015",
        ),
        "fi": Licence(
            "FI (Flickr and Instagram)",
            "Research; the pictures belong to the people who put them on the Internet.",
            "Quanzeng You, University of Rochester",
            "You, Luo, Jin & Yang, AAAI 2016",
        ),
        "synthetic_scenes": Licence(
            "Synthetic scenes",
            "Drawn by this program: no place and nobody is shown, and the program's licence (MIT) holds.",
            "nobody",
            "the program and the seed in the command above",
        ),
        "synthetic_questions": Licence(
            "Questions about synthetic faces and scenes",
            "Drawn by this program: no place and nobody is shown, and the program's licence (MIT) holds.",
            "nobody",
            "the program and the seed in the command above",
        ),
        "synthetic_clips": Licence(
            "Synthetic films of faces",
            "Drawn by this program: nobody is shown, no dataset is contained, and the program's licence (MIT) holds.",
            "nobody",
            "the program and the seed in the command above",
        ),
        "synthetic": Licence(
            "Synthetic faces",
            "Drawn by this program: nobody is shown, no dataset is contained, and the program's licence (MIT) holds.",
            "nobody",
            "the program and the seed in the command above",
        ),
        "class_folders": Licence(
            "Pictures in folders of expressions",
            "Those of the dataset that was packed so (FER2013, CK+, RAF-DB, AffectNet, ...), unknown to this program.",
            "the owner of that dataset",
            "as its owner wishes",
        ),
        "folder": Licence(
            "A folder of pictures",
            "Unknown to this program: whoever took the pictures and whoever is shown decide what may be passed on.",
            "the owner of the pictures",
            "as the owner wishes",
        ),
    }
)
"""By the name that a record's `source` carries."""


def licence(source: str) -> Licence:
    """Return the terms of a source; one that nobody described here is treated as somebody's own folder.

    >>> licence("disfa").ask
    'Mohammad Mahoor, University of Denver (http://mohammadmahoor.com)'
    >>> licence("my_phone").title
    'my_phone'
    """
    return LICENCES[source] if source in LICENCES else LICENCES["folder"]._replace(title=source)
