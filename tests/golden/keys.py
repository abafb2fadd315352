"""Command lines whose keys are golden: every cache out there has them. `python tests/golden/keys.py` writes keys.json.

It is only ever run to add command lines, never to change recorded keys, and refuses to: unless the version of a stage
was raised, by which a stage says that it computes something else now, or embedded models or suites were made anew.

Everything goes through the command line, in an empty folder: nothing here knows how ptx is laid out inside. It takes a
process of its own, which afterwards believes that the models in that folder are those of the hub.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.resources
import io
import json
import os
import shlex
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

FILE = Path(__file__).parent / "keys.json"
MANY = 40  # of more keys than that, their number and one digest are recorded
NO_DRY_RUN = ("table", "export")

# What tuning was given where the command line said nothing, until it was given what learns on any model.
FIRST = {"init": "random", "lr": 0.01, "schedule": "constant", "warmup": 0.0, "patience": 0}
TODAY = "+ "  # in front of a line with today's defaults

# Run in this order, with one cache. A line is a dry run, unless it has a name in front: then it builds something, whose
# key is $NAME below. A line with "=" in front must have the keys of the last one without, and is not recorded.
LINES = """
# Tuning: every model, every task, every setting.
tune --model bert-micro
tune --model bert-micro --tasks P103
= tune --model bert-micro --tasks P103 --prompt-length 5 --layout postfix --init random --init-scale 0.1 --epochs 10 \
    --lr 0.01 --batch-size 16 --suite facts --seed 0 --dtype float32 --schedule constant --warmup 0 --optimizer adam
= tune --model bert-micro --tasks P103 --lr 1e-2 --init-scale 1e-1
= tune --model bert-micro --tasks P103 --lr .010 --init-scale 0.10
= tune --model bert-micro --tasks P103 --device cpu
= tune --model bert-micro --tasks P103 --cache-dir elsewhere
= tune --model bert-micro --tasks P103 --strict
= tune --model bert-micro --tasks P103,P103
= tune --model bert-micro --tasks P103 --limit 100000 --columns subject=sub_label,object=obj_label
= tune --model bert-micro --tasks P103 --template "[X] speaks [Y] ."
tune --model bert-micro --tasks P103 --limit 20
tune --model bert-micro --tasks P103,P138
tune --model bert-micro --tasks P103 --prompt-length 3
tune --model bert-micro --tasks P103 --layout prefix
tune --model bert-micro --tasks P103 --init words
= tune --model bert-micro --tasks P103 --init words --init-scale 0.2
tune --model bert-micro --tasks P103 --init-scale 0.2
tune --model bert-micro --tasks P103 --init-scale 0
tune --model bert-micro --tasks P103 --init-scale paper
tune --model bert-micro --tasks P103 --epochs 2
tune --model bert-micro --tasks P103 --lr 0.003
= tune --model bert-micro --tasks P103 --lr 3e-3
tune --model bert-micro --tasks P103 --lr 1
tune --model bert-micro --tasks P103 --batch-size 8
tune --model bert-micro --tasks P103 --schedule linear
= tune --model bert-micro --tasks P103 --schedule linear --warmup 0
tune --model bert-micro --tasks P103 --schedule linear --warmup 0.1
= tune --model bert-micro --tasks P103 --schedule linear --warmup .10
tune --model bert-micro --tasks P103 --optimizer optiprompt
tune --model bert-micro --tasks P103 --seed 1
= tune --model bert-micro --tasks P103 --seeds 1
tune --model bert-micro --tasks P103 --seeds 0,1
tune --model bert-micro --tasks P103 --dtype bfloat16
tune --model bert-micro --tasks P103 --dtype float16
tune --model bert-micro --tasks P103 --truncate
tune --model roberta-micro --tasks P103
tune --model albert-micro --tasks P103
tune --model gpt2-micro --tasks P103
tune --model bert-mini --tasks P103
tune --model roberta-mini --tasks P103
tune --model albert-mini --tasks P103
tune --model gpt2-mini --tasks P103

# Tuning with today's defaults: a template's words are in the key, be they named or not, and steps in the model's units.
+ tune --model bert-micro --tasks P103
= + tune --model bert-micro --tasks P103 --init text --lr-scale .10 --schedule linear --warmup 0.1 --patience 3
= + tune --model bert-micro --tasks P103 --init-scale 0.2
+ tune --model bert-micro --tasks P103 --init "text:The native language of is"
+ tune --model bert-micro --tasks P103 --template "[X] speaks [Y] ."
+ tune --model bert-micro --tasks P103 --lr 0.01
+ tune --model bert-micro --tasks P103 --lr-scale 0.3
+ tune --model bert-micro --tasks P103 --schedule constant
= + tune --model bert-micro --tasks P103 --schedule constant --warmup 0
+ tune --model bert-micro --tasks P103 --patience 0
+ tune --model bert-micro --tasks P103 --init random
+ tune --model gpt2-micro --tasks P103
= + tune --model gpt2-micro --tasks P103 --for transfer
+ eval --target bert-micro --suite moods
+ search --sources bert-micro --target roberta-micro --tasks P103

# Models in folders and on the hub: the place is no part of the key.
tune --model ./model --tasks P103
= tune --model elsewhere/copy --tasks P103
tune --model ./classless --tasks P103
tune --model bert-base --tasks P103
= tune --model google-bert/bert-base-cased --tasks P103
= tune --model bert-base-cased --tasks P103
tune --model gpt2-small --tasks P103
eval --sources bert-base,roberta-base --target albert-base --tasks P103
eval --sources ./model --target bert-micro --tasks P103
eval --sources gpt2-small --target ./model --tasks P103

# Anchors.
anchors --models bert-micro,roberta-micro,albert-micro
= anchors --models albert-micro,bert-micro,roberta-micro
= anchors --models bert-micro,roberta-micro,albert-micro --seed 1 --order rank
anchors --models bert-micro,gpt2-micro
anchors --models bert-base,roberta-base
anchors --models ./model
anchors --models bert-micro,roberta-micro --count 100
= anchors --models roberta-micro,bert-micro --count 100 --order random --seed 0
anchors --models bert-micro,roberta-micro --count 100 --seed 1
anchors --models bert-micro,roberta-micro --count 100 --order rank
= anchors --models bert-micro,roberta-micro --count 100 --order rank --seed 1
anchors --models bert-micro,roberta-micro --keep-words
anchors --models bert-micro,roberta-micro --count 100 --keep-words

# Encodings.
encode --model bert-micro --tasks P103
= encode --model bert-micro --tasks P103 --top-k 8192
encode --model bert-micro --tasks P103 --top-k 512
= encode --model bert-micro --tasks P103 --top-k 0512
encode --model bert-micro --tasks P103 --top-k all
encode --model bert-micro --tasks P103 --top-k 48%
encode --model bert-micro --tasks P103 --count 100
encode --model bert-micro --tasks P103 --count 100 --order rank
encode --model bert-micro --tasks P103 --anchors words.txt
= encode --model bert-micro --tasks P103 --anchors elsewhere/words.txt
encode --model bert-micro --tasks P103 --anchors words.txt --count 2
encode --model bert-micro --tasks P103 --anchors words.txt --keep-words
encode --model gpt2-micro --tasks P103

# Searches: every method, solver and setting.
search --sources bert-micro --target roberta-micro --tasks P103
= search --sources bert-micro --target roberta-micro --tasks P103 --method relative --solver exact --mask both \
    --ridge 0 --select none --normalize --top-k 8192
= search --sources bert-micro --target roberta-micro --tasks P103 --weights 3
= search --sources bert-micro --target roberta-micro --tasks P103 --ridge 0.0
= search --sources bert-micro --target roberta-micro --tasks P103 --dtype float32 --device cpu --strict
search --sources bert-micro --target roberta-micro --tasks P103,P138
search --sources bert-micro --target roberta-micro --tasks P103 --seed 1
search --sources bert-micro --target roberta-micro --tasks P103 --top-k 512
search --sources bert-micro --target roberta-micro --tasks P103 --top-k all
search --sources bert-micro --target roberta-micro --tasks P103 --top-k 48%
search --sources bert-micro --target roberta-micro --tasks P103 --mask source
search --sources bert-micro --target roberta-micro --tasks P103 --mask source --top-k all
search --sources bert-micro --target roberta-micro --tasks P103 --ridge 0.1
= search --sources bert-micro --target roberta-micro --tasks P103 --ridge 1e-1
search --sources bert-micro --target roberta-micro --tasks P103 --ridge gcv
search --sources bert-micro --target roberta-micro --tasks P103 --no-normalize
search --sources bert-micro --target roberta-micro --tasks P103 --dtype bfloat16
search --sources bert-micro --target roberta-micro --tasks P103 --count 100
search --sources bert-micro --target roberta-micro --tasks P103 --count 100 --order rank
search --sources bert-micro --target roberta-micro --tasks P103 --count 100 --seed 1
search --sources bert-micro --target roberta-micro --tasks P103 --anchors words.txt
search --sources bert-micro --target roberta-micro --tasks P103 --prompt-length 3 --layout prefix
search --sources bert-micro --target roberta-micro --tasks P103 --solver adam
= search --sources bert-micro --target roberta-micro --tasks P103 --solver adam --steps 2000
search --sources bert-micro --target roberta-micro --tasks P103 --solver adam --steps 10
search --sources bert-micro --target roberta-micro --tasks P103 --solver adam --steps 0
search --sources bert-micro --target roberta-micro --tasks P103 --solver adam --seed 1
search --sources bert-micro --target roberta-micro --tasks P103 --solver adam --mask source --no-normalize --top-k 48%
search --sources bert-micro --target roberta-micro --tasks P103 --solver adam --select dev
search --sources bert-micro --target roberta-micro --tasks P103 --solver adam --select dev --steps 10 --count 100
search --sources bert-micro --target roberta-micro --tasks P103 --solver adam --select dev --layout prefix
search --sources bert-micro --target roberta-micro --tasks P103 --solver adam --select dev --dtype bfloat16
search --sources bert-micro --target roberta-micro --tasks P103 --solver adam --select dev --dtype float16
search --sources bert-micro --target roberta-micro --tasks P103 --solver ptfer --select dev
= search --sources bert-micro --target roberta-micro --tasks P103 --solver ptfer --select dev --steps 2000 --normalize
search --sources bert-micro --target roberta-micro --tasks P103 --solver ptfer --select dev --steps 100 --no-normalize
search --sources bert-micro,roberta-micro --target albert-micro --tasks P103 --solver ptfer --select dev
search --sources roberta-micro,bert-micro --target albert-micro --tasks P103 --solver ptfer --select dev
search --sources bert-micro,roberta-micro --target albert-micro --tasks P103
= search --sources roberta-micro,bert-micro --target albert-micro --tasks P103
= search --sources bert-micro,roberta-micro --target albert-micro --tasks P103 --weights 1,1
search --sources bert-micro,roberta-micro --target albert-micro --tasks P103 --weights 2,1
= search --sources roberta-micro,bert-micro --target albert-micro --tasks P103 --weights 1,2
= search --sources bert-micro,roberta-micro --target albert-micro --tasks P103 --weights 1,0.5
search --sources roberta-micro,bert-micro --target albert-micro --tasks P103 --weights 2,1
search --sources bert-micro,roberta-micro --target albert-micro --tasks P103 --solver adam --select dev
search --sources bert-micro,roberta-micro,gpt2-micro --target albert-micro --tasks P103 --weights 1,2,3 --ridge gcv
search --sources bert-micro --target bert-micro --tasks P103
search --sources bert-micro --target bert-mini --tasks P103
search --sources bert-micro --target gpt2-micro --tasks P103
search --sources gpt2-micro --target bert-micro --tasks P103
search --sources bert-micro --target roberta-micro --tasks P103 --method direct
= search --sources bert-micro --target roberta-micro --tasks P103 --method direct --top-k 48% --mask source --ridge 1 \
    --no-normalize --count 100
= search --sources bert-micro --target roberta-micro --tasks P103 --method direct --solver adam --steps 10
search --sources bert-micro --target roberta-micro --tasks P103 --method discretize
= search --sources bert-micro --target roberta-micro --tasks P103 --method discretize --count 100 --mask source
search --sources bert-micro --target roberta-micro --tasks P103 --method discretize --top-k 48%
search --sources bert-micro --target roberta-micro --tasks P103 --method projector
= search --sources bert-micro --target roberta-micro --tasks P103 --method projector --top-k 48% --count 100 \
    --no-normalize
search --sources bert-micro --target roberta-micro --tasks P103 --method projector --seed 1
search --sources bert-micro --target roberta-micro --tasks P103 --method projector --select dev
search --sources bert-micro --target roberta-micro --tasks P103 --method projector --select dev --layout prefix
search --sources bert-micro --target roberta-micro --tasks P103 --method projector --select dev --dtype bfloat16
search --sources bert-micro --target roberta-micro --tasks P103 --method projector --select dev --dtype float16
search --sources bert-micro --target roberta-micro --tasks P103 --method neighbours
= search --sources bert-micro --target roberta-micro --tasks P103 --method neighbours --words 4 --temperature 5e-2 \
    --count 100 --weights 3
search --sources bert-micro --target roberta-micro --tasks P103 --method neighbours --words 16
search --sources bert-micro --target roberta-micro --tasks P103 --method neighbours --temperature 0.1
search --sources bert-micro --target roberta-micro --tasks P103 --method neighbours --words 1
= search --sources bert-micro --target roberta-micro --tasks P103 --method neighbours --words 1 --temperature 0.1
search --sources bert-micro,roberta-micro --target albert-micro --tasks P103 --method neighbours --weights 2,1
= search --sources roberta-micro,bert-micro --target albert-micro --tasks P103 --method neighbours --weights 1,2
search --sources bert-micro --target roberta-micro --tasks P103 --method hubs
= search --sources bert-micro --target roberta-micro --tasks P103 --method hubs --words 1 --temperature 0.1 --count 100
search --sources bert-micro --target roberta-micro --tasks P103 --method hubs --words 4
search --sources bert-micro,roberta-micro --target albert-micro --tasks P103 --method hubs
search --sources bert-micro --target roberta-micro --tasks P103 --method procrustes
= search --sources bert-micro --target roberta-micro --tasks P103 --method procrustes --centre --top-k 48% --count 100
search --sources bert-micro --target roberta-micro --tasks P103 --method procrustes --no-centre
search --sources bert-micro --target roberta-micro --tasks P103 --method procrustes --no-normalize
search --sources bert-micro,roberta-micro --target albert-micro --tasks P103 --method procrustes --weights 2,1
= search --sources roberta-micro,bert-micro --target albert-micro --tasks P103 --method procrustes --weights 1,2
search --sources bert-micro --target roberta-micro --tasks P103 --method linear
= search --sources bert-micro --target roberta-micro --tasks P103 --method linear --ridge 0.0 --top-k 48% --count 100
search --sources bert-micro --target roberta-micro --tasks P103 --method linear --ridge 0.1
search --sources bert-micro --target roberta-micro --tasks P103 --method linear --ridge gcv
search --sources bert-micro --target roberta-micro --tasks P103 --method linear --no-normalize
search --sources bert-micro --target roberta-micro --tasks P103 --method omp
= search --sources bert-micro --target roberta-micro --tasks P103 --method omp --words 8 --top-k 48% --count 100
search --sources bert-micro --target roberta-micro --tasks P103 --method omp --words 16
search --sources bert-micro --target roberta-micro --tasks P103 --method omp --no-normalize
search --sources bert-micro --target roberta-micro --tasks P103 --method residual
+ search --sources bert-micro --target roberta-micro --tasks P103 --method residual
= + search --sources bert-micro --target roberta-micro --tasks P103 --method residual --length .25 --map relative \
    --top-k 48% --texts words.txt
+ search --sources bert-micro --target roberta-micro --tasks P103 --method residual --length 1
+ search --sources bert-micro --target roberta-micro --tasks P103 --method residual --length 0
= + search --sources bert-micro --target roberta-micro --tasks P103 --method residual --length 0 --map top-k
+ search --sources bert-micro --target roberta-micro --tasks P103 --method residual --map top-k
+ search --sources bert-micro --target roberta-micro --tasks P103 --method residual --map top-k --top-k 48%
+ search --sources bert-micro --target roberta-micro --tasks P103 --method residual --count 100
+ search --sources bert-micro,roberta-micro --target albert-micro --tasks P103 --method residual --weights 2,1
search --sources bert-micro --target roberta-micro --tasks P103 --method text
= + search --sources bert-micro --target roberta-micro --tasks P103 --method text --seed 1 --epochs 2
search --sources bert-micro --target roberta-micro --tasks P103 --method text --texts words.txt
= search --sources bert-micro --target roberta-micro --tasks P103 --method text --texts elsewhere/words.txt
search --sources bert-micro --target roberta-micro --tasks P103 --method text --nth 2
search --sources bert-micro --target roberta-micro --tasks P103 --method text --layout prefix
search --sources bert-micro --target roberta-micro --tasks P103 --method text --dtype source=bfloat16
search --sources bert-micro,roberta-micro --target albert-micro --tasks P103 --method text --weights 2,1
+ search --sources bert-micro --target roberta-micro --tasks P103 --method auto
= + search --sources bert-micro --target roberta-micro --tasks P103 --method auto --inputs train --refine 24 --trust 1
+ search --sources bert-micro --target roberta-micro --tasks P103 --method auto --refine 0
= + search --sources bert-micro --target roberta-micro --tasks P103 --method auto --refine 0 --trust 0.5
+ search --sources bert-micro --target roberta-micro --tasks P103 --method auto --trust 0 --seed 1
+ search --sources bert-micro --target roberta-micro --tasks P103 --method auto --candidates text --refine 6
+ search --sources bert-micro --target roberta-micro --tasks P103 --method auto --candidates text,relative:top_k=64
= + search --sources bert-micro --target roberta-micro --tasks P103 --method auto --candidates text,relative:top_k=64 \
    --top-k 512
+ search --sources bert-micro --target roberta-micro --tasks P103 --method auto --candidates text --inputs words
+ search --sources bert-micro --target roberta-micro --tasks P103 --method auto --candidates text --inputs words \
    --seed 1
+ search --sources bert-micro --target roberta-micro --tasks P103 --method auto --candidates text --inputs words.txt
+ search --sources bert-micro --target roberta-micro --tasks P103 --method auto --candidates text --dtype bfloat16
+ search --sources bert-micro,roberta-micro --target albert-micro --tasks P103 --method auto --candidates text
+ search --sources bert-micro --target roberta-micro --tasks P103 --method relative --select agree
+ search --sources bert-micro --target roberta-micro --tasks P103 --method relative --forecast
+ eval --sources bert-micro --target roberta-micro --suite moods --method auto --candidates text
+ search --sources bert-micro --target roberta-micro --tasks P103 --method distil
= + search --sources bert-micro --target roberta-micro --tasks P103 --method distil --trust 1.0 --distil-steps 36 \
    --inputs train
+ search --sources bert-micro --target roberta-micro --tasks P103 --method distil --candidates text
+ search --sources bert-micro --target roberta-micro --tasks P103 --method distil --candidates text --trust 0.5
+ search --sources bert-micro --target roberta-micro --tasks P103 --method distil --candidates text --trust 0
= + search --sources bert-micro --target roberta-micro --tasks P103 --method distil --candidates text --trust 0.0
+ search --sources bert-micro --target roberta-micro --tasks P103 --method distil --candidates text --distil-steps 12
+ search --sources bert-micro --target roberta-micro --tasks P103 --method distil --candidates text --inputs words
+ search --sources bert-micro --target roberta-micro --tasks P103 --method distil --candidates text --dtype bfloat16
+ search --sources bert-micro,roberta-micro --target albert-micro --tasks P103 --method distil --candidates text
+ eval --sources bert-micro --target roberta-micro --tasks P103 --method ensemble
+ eval --sources bert-micro --target roberta-micro --tasks P103 --method ensemble --split dev
+ eval --sources bert-micro --target roberta-micro --tasks P103 --method ensemble --texts words.txt
+ eval --sources bert-micro,roberta-micro --target albert-micro --tasks P103 --method ensemble --weights 2,1
search --target roberta-micro --tasks P103 --method random
= search --target roberta-micro --tasks P103 --method random --layout prefix --epochs 2 --dtype bfloat16
search --target roberta-micro --tasks P103 --method random --seed 1
search --target roberta-micro --tasks P103 --method random --prompt-length 3

# Evaluations.
eval --target roberta-micro --tasks P103
= eval --target roberta-micro --tasks P103 --method tuned --split test --strict --device cpu
= eval --target roberta-micro --tasks P103 --on facts
eval --target roberta-micro --tasks P103 --layout prefix
eval --target roberta-micro --tasks P103 --dtype bfloat16
eval --target roberta-micro --tasks P103 --dtype float16
eval --target roberta-micro --tasks P103 --split dev
eval --target roberta-micro --tasks P103 --split train
eval --target roberta-micro --tasks P103 --seed 1
eval --target roberta-micro --tasks P103 --truncate
eval --target roberta-micro --tasks P103 --anchors words.txt
eval --target roberta-micro --tasks P103 --on ./tasks
eval --target roberta-micro --tasks P103 --on lama
eval --target roberta-micro --tasks P103 --method manual
= eval --target roberta-micro --tasks P103 --method manual --seed 1 --layout prefix --epochs 2
= eval --target roberta-micro --tasks P103 --method manual --count 100
= eval --sources bert-micro --target roberta-micro --tasks P103 --method manual --seeds 0,1
eval --target roberta-micro --tasks P103 --method manual --dtype bfloat16
eval --target roberta-micro --tasks P103 --method manual --split dev
eval --target roberta-micro --tasks P103 --method manual --on ./tasks
eval --target roberta-micro --tasks P103 --method random
eval --target roberta-micro --tasks P103 --method random --seed 1 --layout prefix
eval --sources bert-micro --target roberta-micro --tasks P103
= eval --sources bert-micro --target roberta-micro --tasks P103 --method relative
eval --sources bert-micro --target roberta-micro --tasks P103,P138 --count 100
eval --sources bert-micro --target roberta-micro --tasks P103 --solver adam --select dev --dtype bfloat16
eval --sources bert-micro --target roberta-micro --tasks P103 --layout prefix --split dev
eval --sources bert-micro --target roberta-micro --tasks P103 --on ./tasks
eval --sources bert-micro --target roberta-micro --tasks P103 --anchors words.txt --count 2
eval --sources roberta-micro,bert-micro --target albert-micro --tasks P103 --weights 1,2 --top-k 48%
= eval --sources bert-micro,roberta-micro --target albert-micro --tasks P103 --weights 2,1 --top-k 48%
eval --sources bert-micro --target roberta-micro --tasks P103 --method direct
eval --sources bert-micro --target roberta-micro --tasks P103 --method discretize
eval --sources bert-micro --target roberta-micro --tasks P103 --method projector
eval --sources bert-micro --target roberta-micro --tasks P103 --method neighbours
eval --sources bert-micro --target roberta-micro --tasks P103 --method procrustes
eval --sources bert-micro --target gpt2-micro --tasks P103
eval --sources gpt2-micro --target bert-micro --tasks P103 --method projector
eval --sources gpt2-micro --target gpt2-mini --tasks P103

# Portable prompts: whatever the order of their models, and whatever the target.
+ tune --models bert-micro,roberta-micro --space words --tasks P103
= + tune --models roberta-micro,bert-micro --space words --tasks P103 --device cpu --strict
= + tune --models bert-micro,roberta-micro --space words --tasks P103 --dtype float32 --epochs 10 --batch-size 16
+ tune --models bert-micro,roberta-micro --space words --tasks P103 --epochs 2 --batch-size 8 --seed 1
+ tune --models bert-micro,roberta-micro --space words --tasks P103 --prompt-length 3 --layout prefix
+ tune --models bert-micro,roberta-micro --space words --tasks P103 --dtype bfloat16
+ tune --models bert-micro,roberta-micro --space words --tasks P103 --dtype roberta-micro=bfloat16
+ tune --models bert-micro,roberta-micro --space words --tasks P103 --anchors words.txt
+ tune --models bert-micro,roberta-micro,gpt2-micro --space words --tasks P103
+ tune --model bert-micro --space words --tasks P103
+ search --sources bert-micro,roberta-micro --target albert-micro --tasks P103 --method portable
+ search --sources bert-micro,roberta-micro --target gpt2-micro --tasks P103 --method portable
+ search --sources bert-micro,roberta-micro --target gpt2-micro --tasks P103 --method portable --forecast
+ search --sources bert-micro,roberta-micro --target ./model --tasks P103 --method portable --epochs 2
+ eval --sources bert-micro,roberta-micro --target albert-micro --tasks P103 --method portable

# Classification, and data of one's own: neither its place nor its format is part of a key.
eval --target bert-micro --suite topics
= eval --target bert-micro --suite topics --anchors words.txt
eval --target bert-micro --suite topics --truncate
eval --target bert-micro --suite topics --method manual
eval --target bert-micro --suite topics --method random --truncate
eval --sources bert-micro --target roberta-micro --suite topics
eval --sources bert-micro --target roberta-micro --suite topics --method projector --select dev --truncate
eval --target bert-micro --suite moods
= eval --target bert-micro --suite moods/suite.toml
eval --target bert-micro --suite sst2
= eval --target bert-micro --suite sst2:SST-2
eval --target bert-micro --suite dbpedia:dbpedia_csv
eval --target bert-micro --suite pairs.csv
= eval --target bert-micro --suite pairs.tsv
= eval --target bert-micro --suite pairs.jsonl --strict
eval --target bert-micro --suite pairs.csv --truncate
eval --sources bert-micro --target roberta-micro --suite pairs.csv --tasks capital
eval --target bert-micro --suite pairs.csv --method manual
eval --target bert-micro --suite split:lama
eval --sources bert-micro --target roberta-micro --suite split:lama --split train
eval --target bert-micro --suite lama --method manual
eval --target bert-micro --suite lama --method random
eval --target bert-micro --suite ./tasks
eval --target bert-micro --suite ./tasks --on lama --method manual

# Recipes.
run own.toml
= run own.toml --jobs 2
= run own.toml --format md
run own.toml --seed 1
run own.toml --dtype bfloat16
run demo
run demo --seed 1
run demo --dtype float16
run table1
= run table1 --models zoo --jobs 1
run table2
run table3
run table5
run table6
run figure2
run figure3
run figure4
run table1 --models paper
run table2 --models paper
run table3 --models paper
run table5 --models paper
run table6 --models paper
run figure2 --models paper
run figure3 --models paper
run figure4 --models paper

# Imported prompts: keyed by their vectors, whatever file they came in.
IMPORTED: import five.npy --model bert-micro --task P138
= import five.safetensors --model bert-micro --task P138
= import half.npy --model bert-micro --task P138
= import brain.npy --model bert-micro --task P138
= import ten.npy --model bert-micro --task P138
= import ten.npy --model bert-micro --task P138 --format optiprompt --rows 5
= import five.pt --model bert-micro --task P138 --layout postfix
= import state.pt --model bert-micro --task P138 --format torch --layout postfix
= import five.kobold --model bert-micro --task P138 --layout postfix
= import adapter --model bert-micro --task P138 --layout postfix --unchecked
import five.pt --model bert-micro --task P138
= import five.kobold --model bert-micro --task P138
= import adapter --model bert-micro --task P138
= import five.npy --model bert-micro --task P138 --layout prefix
import ten.npy --model bert-micro --task P138 --rows 10
= import ten.npy --model bert-micro --task P138 --format npy
import five.npy --model bert-micro --task P138 --rows 3
import five.npy --model roberta-micro --task P138
import five.npy --model bert-micro --suite moods
import five.npy --model bert-micro --suite pairs.csv --task capital
import prompts/{task}/prompt_vecs.npy --model bert-micro

# More that is made, so that it can be named by its key.
OTHER: import five.npy --model bert-micro --task P103
THIRD: import ten.npy --model roberta-micro --task P138 --rows 3
CAUSAL: import five.npy --model gpt2-micro --task P138 --layout prefix
= export $CAUSAL --to npy --output out/prompt.npy
= import out/prompt.npy
TUNED: tune --model bert-micro --tasks P138 --epochs 1 --seed 1
SEARCHED: search --prompt $IMPORTED --target roberta-micro --method direct
DRAWN: search --target bert-micro --tasks P138 --method random
WORDS: anchors --models bert-micro,roberta-micro
FEW: anchors --models bert-micro,roberta-micro --count 50
CELL: eval --sources bert-micro --target roberta-micro --tasks P138 --init-scale paper --top-k 48%

# Anchors by key.
encode --model bert-micro --tasks P103 --anchors $WORDS
= encode --model bert-micro --tasks P103 --anchors cache/v1/anchors/$WORDS
= encode --model bert-micro --tasks P103 --anchors $WORDS --count 7
encode --model bert-micro --tasks P103 --anchors $FEW
search --sources bert-micro --target roberta-micro --tasks P103 --anchors $FEW
search --sources bert-micro --target roberta-micro --tasks P103 --anchors $FEW --method projector
eval --sources bert-micro --target roberta-micro --tasks P103 --anchors $WORDS --solver adam --select dev
eval --sources bert-micro --target roberta-micro --tasks P103 --anchors $FEW
eval --target roberta-micro --tasks P103 --method manual --anchors $FEW
= eval --target roberta-micro --tasks P103 --method manual --words-of roberta-micro,bert-micro

# Warm starts.
tune --model bert-micro --tasks P138 --init $TUNED
= tune --model bert-micro --tasks P138 --init cache/v1/tune/$TUNED --init-scale 0.2
tune --model bert-micro --tasks P138 --init $IMPORTED
= tune --model bert-micro --tasks P138 --init five.npy
= tune --model bert-micro --tasks P138 --init ten.npy
tune --model bert-micro --tasks P138 --init $DRAWN
tune --model bert-micro --tasks P138 --init five.pt
tune --model bert-micro --tasks P138 --init $IMPORTED --epochs 2 --seed 1 --dtype bfloat16
tune --model bert-micro --tasks P103,P138 --init $IMPORTED,$OTHER
tune --model roberta-micro --tasks P138 --init $SEARCHED
eval --target bert-micro --tasks P138 --init $IMPORTED
eval --sources bert-micro --target roberta-micro --tasks P138 --init five.npy

# Finished prompts, further on.
encode --prompt $TUNED
encode --prompt $IMPORTED
= encode --prompt cache/v1/tune/$IMPORTED
encode --prompt $IMPORTED,$OTHER --top-k 48% --count 100
encode --prompt $IMPORTED --anchors words.txt
search --prompt $TUNED --target roberta-micro
search --prompt $TUNED --target roberta-micro --solver adam
= search --prompt $TUNED --target roberta-micro --solver adam --seed 2
search --prompt $TUNED --target roberta-micro --method projector --select dev
search --prompt $IMPORTED --target roberta-micro
= search --prompt $IMPORTED --target roberta-micro --tasks P138 --layout prefix --prompt-length 3
search --prompt $IMPORTED --target roberta-micro --solver adam --seed 2
search --prompt $IMPORTED --target roberta-micro --solver adam --select dev
search --prompt $IMPORTED --target albert-micro --method discretize
search --prompt $IMPORTED --target albert-micro --method projector
search --prompt $IMPORTED,$OTHER --target albert-micro --ridge gcv
search --prompt $IMPORTED,$THIRD --target albert-micro --weights 2,1
= search --prompt $THIRD,$IMPORTED --target albert-micro --weights 1,2
search --prompt $IMPORTED,$TUNED --target roberta-micro --anchors $FEW
search --prompt $CAUSAL --target bert-micro
eval --prompt $TUNED --target bert-micro
eval --prompt $IMPORTED --target bert-micro
= eval --prompt $IMPORTED --target bert-micro --layout prefix --seed 1
= eval --prompt five.npy --target bert-micro --tasks P138
= eval --prompt five.safetensors --target bert-micro --tasks P138
eval --prompt five.npy --target bert-micro --tasks P138 --layout prefix
eval --prompt five.npy --target bert-micro --suite ./tasks --tasks P103
eval --prompt $IMPORTED,$OTHER --target bert-micro
eval --prompt $OTHER --target bert-micro --suite ./tasks
= eval --prompt $OTHER --target bert-micro --on ./tasks
eval --prompt $OTHER --target bert-micro --on lama --split test --dtype bfloat16
eval --prompt $IMPORTED --target bert-micro --split dev
eval --prompt $IMPORTED --target bert-micro --anchors $WORDS
= eval --prompt $IMPORTED --target bert-micro --anchors $FEW
eval --prompt $SEARCHED --target roberta-micro
eval --prompt $DRAWN --target bert-micro
= eval --prompt $DRAWN --target bert-micro --tasks P138
eval --prompt $DRAWN --target bert-micro --layout prefix
eval --prompt $CAUSAL --target gpt2-micro

# Tables and figures, of all that has been made here; they cannot be dry.
TABLE: table
TASKS: table --by task
CURVE: table --curve
TABLE3: table --paper 3
= table --paper 3 --compare --format md
TABLE4: table --paper 4
FIGURE: run drawn.toml --jobs 1
"""


FACTS = {
    "train": [("Lyon", "France"), ("Osaka", "Japan"), ("Lima", "Peru"), ("Nairobi", "Kenya"), ("Oslo", "Norway")],
    "dev": [("Paris", "France"), ("Kyoto", "Japan")],
    "test": [("Bergen", "Norway"), ("Cusco", "Peru"), ("Nice", "France")],
}
TEXTS = ["a good one", "a bad one", "good again", "bad again", "still good", "still bad", "all good", "all bad"]
OWN_RECIPE = """
title = "one's own"
tasks = ["P103", "P138"]
sources = [["bert-micro"], ["bert-micro", "roberta-micro"]]
targets = ["roberta-micro", "albert-micro"]
methods = ["manual", "direct", "relative", "tuned"]
self_transfer = false
tune = { epochs = 2, init = "random", lr = 0.01, schedule = "constant", patience = 0 }
anchors.count = 100
[[sweep]]
search.normalize = [true, false]
encode.top_k = [64, "all", "48%"]
[[sweep]]
search.ridge = [0.1, "gcv"]
tune.layout = "prefix"
"""
DRAWN_RECIPE = """
shows = "figure2"
tasks = ["P138"]
sources = [["bert-micro"]]
targets = ["roberta-micro"]
methods = ["relative"]
tune = { init = "random", init_scale = "paper", lr = 0.01, schedule = "constant", patience = 0 }
encode.top_k = "48%"
search.solver = "adam"
eval.split = "dev"
[[sweep]]
search.steps = [1, 2]
"""
# The paper's models, as far as keys go: their hub ids and the widths of their word embeddings.
HUB = {
    "google-bert/bert-base-cased": 768,
    "google-bert/bert-large-cased": 1024,
    "FacebookAI/roberta-base": 768,
    "FacebookAI/roberta-large": 1024,
    "albert/albert-base-v2": 128,
    "albert/albert-large-v2": 128,
    "openai-community/gpt2": 768,
    "openai-community/gpt2-medium": 1024,
    "openai-community/gpt2-large": 1280,
}


def write_files() -> None:
    """The files that the command lines name, in the working directory, with the same bytes wherever it is."""
    _write("words.txt", "France\nJapan\nPeru\n")
    _write("elsewhere/words.txt", "France\nJapan\nPeru\n")
    _write("own.toml", OWN_RECIPE)
    _write("drawn.toml", DRAWN_RECIPE)
    _write_suites()
    _write_prompts()
    for folder in ("model", "elsewhere/copy", "classless"):
        _write_model(folder, 8, {"tokenizer_class": "BertTokenizer"} if folder != "classless" else {})
    for repo, width in HUB.items():
        commit = hashlib.sha1(repo.encode()).hexdigest()
        folder = f"hub/models--{repo.replace('/', '--')}"
        _write(f"{folder}/refs/main", commit)
        _write_model(f"{folder}/snapshots/{commit}", width, {})


def _write(name: str, content: str | bytes) -> None:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def _write_suites() -> None:
    rows = [("capital", split, *fact, "[X] is in [Y] .") for split, facts in FACTS.items() for fact in facts]
    header = ("task", "split", "sub_label", "obj_label", "template")
    for name, between in (("pairs.csv", ","), ("pairs.tsv", "\t")):
        _write(name, "".join(between.join(row) + "\n" for row in (header, *rows)))
    _write("pairs.jsonl", "".join(json.dumps(dict(zip(header, row, strict=True))) + "\n" for row in rows))
    lines = {split: [json.dumps({"sub_label": s, "obj_label": o}) + "\n" for s, o in f] for split, f in FACTS.items()}
    relation = json.dumps({"relation": "P103", "label": "a relation", "template": "[X] belongs to [Y] ."}) + "\n"
    for folder in ("tasks", "lama"):
        _write(f"{folder}/relations.jsonl", relation)
    for split, facts in lines.items():
        _write(f"tasks/P103/{split}.jsonl", "".join(facts))
    _write("OptiPrompt/relation_metainfo/LAMA_relations.jsonl", relation)
    _write("OptiPrompt/common_vocabs/common_vocab_cased_be_ro_al.txt", "France\nJapan\nPeru\nKenya\nNorway\n")
    for split, facts in lines.items():
        _write(f"OptiPrompt/data/autoprompt_data/P103/{split}.jsonl", "".join(facts))
    _write("lama/P103.jsonl", "".join("".join(facts) for facts in lines.values()))
    labelled = [(text, "good" in text) for text in TEXTS]
    _write(
        "moods/suite.toml",
        'text = "text"\nlabel = "label"\nwords = { good = "France", bad = "Japan" }\ntemplate = "[X] word [Y] ."\n'
        'files = { train = "train", test = "test" }\ndev_share = 0.4\nlimit = { train = 4 }\n',
    )
    for split in ("train", "test"):
        texts = [{"text": f"{text} {split}", "label": "good" if good else "bad"} for text, good in labelled]
        _write(f"moods/{split}.jsonl", "".join(json.dumps(text) + "\n" for text in texts))
    sentences = "sentence\tlabel\n" + "".join(f"{text} {i}\t{int(good)}\n" for i in range(9) for text, good in labelled)
    for split in ("train", "dev"):
        _write(f"SST-2/{split}.tsv", sentences)
    articles = "".join(f'"{1 + i % 14}","Title {i}","Text {i} ."\n' for i in range(280))
    for split in ("train", "test"):
        _write(f"dbpedia_csv/{split}.csv", articles)


def _write_prompts() -> None:
    """Ten vectors as wide as the smallest models' word embeddings, of which five are the prompt, in all formats."""
    import torch
    from safetensors.numpy import save

    places = np.arange(10)[:, None] * 7 + np.arange(128)[None] * 3
    ten = ((places % 11 - 5) / 16).astype("<f4")  # exact in any type of number, so that it can be written in each
    five = ten[:5]
    np.save("ten.npy", ten)
    np.save("five.npy", five)
    np.save("half.npy", five.astype("<f2"))
    np.save("brain.npy", (five.view("<u4") >> 16).astype("<u2").view("V2"))  # bfloat16, as JAX programs save it
    _write("five.safetensors", save({"prompt": five}))
    for task in ("P103", "P138"):
        _write(f"prompts/{task}/prompt_vecs.npy", Path("ten.npy").read_bytes())
    torch.save(torch.from_numpy(five), "five.pt")
    torch.save({"step": 3, "model": torch.from_numpy(five)}, "state.pt")
    with zipfile.ZipFile("five.kobold", "w") as archive:
        archive.write("five.npy", "tensor.npy")
    adapter = {"peft_type": "PROMPT_TUNING", "task_type": "CAUSAL_LM", "num_virtual_tokens": 5, "token_dim": 128}
    _write("adapter/adapter_config.json", json.dumps(adapter | {"base_model_name_or_path": "bert-micro"}))
    _write("adapter/adapter_model.safetensors", save({"prompt_embeddings": five}))


def _write_model(folder: str, width: int, tokenizer: Mapping[str, str]) -> None:
    """What keys are made of, of the weights one row: no dry run loads a model."""
    matrix = {"word_embeddings.weight": {"dtype": "F32", "shape": [1, width], "data_offsets": [0, 4 * width]}}
    header = json.dumps(matrix).encode()
    _write(f"{folder}/config.json", json.dumps({"model_type": "bert", "hidden_size": width}))
    _write(f"{folder}/tokenizer.json", "{}")
    _write(f"{folder}/tokenizer_config.json", json.dumps(tokenizer))
    _write(f"{folder}/model.safetensors", len(header).to_bytes(8, "little") + header + bytes(4 * width))


@dataclass(frozen=True)
class Line:
    """A command line. `like` is the one whose keys it must have, itself or one above it; `name` that of its key."""

    text: str
    like: str
    name: str


def lines() -> Iterator[Line]:
    """What LINES says."""
    like = ""
    for line in LINES.splitlines():
        text = " ".join(line.split())
        if not text or text.startswith("#"):
            continue
        name, colon, rest = text.partition(": ")
        if colon:
            text = rest
        if text.startswith("= "):
            text = text.removeprefix("= ")
        else:
            like = text
        yield Line(text, like, name if colon else "")


def find() -> tuple[dict[str, list[str]], dict[str, int]]:
    """The keys of every command line, run in a new folder, and the versions of the stages."""
    for name in [name for name in os.environ if name.startswith("PTX_")]:
        del os.environ[name]
    keys: dict[str, str] = {}
    found = {}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        os.environ |= {"HF_HUB_CACHE": str(Path("hub").absolute()), "HF_HUB_OFFLINE": "1"}
        write_files()
        for line in lines():
            args = shlex.split(Template(line.text.removeprefix(TODAY)).substitute(keys))
            defaults = {} if line.text.startswith(TODAY) else dict.fromkeys(("tune", "encode", "search", "eval"), FIRST)
            dry = [] if line.name or args[0] in NO_DRY_RUN else ["--dry-run"]
            pairs = list(dict.fromkeys((row["stage"], row["key"]) for row in _run(defaults, *args, *dry, "--json")))
            if line.name:
                keys[line.name] = pairs[-1][1]
            found[line.text] = _recorded([f"{stage} {key}" for stage, key in pairs])
        made = [json.loads(path.read_text("utf-8")) for path in Path("cache/v1").glob("*/*/meta.json")]
    return found, {meta["stage"]: meta["version"] for meta in sorted(made, key=lambda meta: meta["stage"])}


def embedded() -> dict[str, str]:
    """What keys have of the embedded models and suites, by folder: the digest of all files but the cards."""
    zoo = Path(str(importlib.resources.files("ptx"))) / "zoo"
    folders = [zoo / "facts", zoo / "topics", *sorted(zoo.glob("models/*"))]
    return {folder.name: _digest_of(folder) for folder in folders}


def _digest_of(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "card.json")
    named = [(path.relative_to(folder).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest()) for path in files]
    return hashlib.sha256(json.dumps(named).encode()).hexdigest()


def _run(defaults: Mapping[str, Mapping[str, Any]], *args: str) -> list[dict[str, Any]]:
    """The JSON lines that a command prints; `defaults` of its options by its name."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = command().main(list(args), prog_name="ptx", standalone_mode=False, default_map=defaults)
    if code:
        sys.exit(f"ptx {' '.join(args)}: {err.getvalue()}")
    return [json.loads(line) for line in out.getvalue().splitlines()]


@functools.cache
def command() -> Any:
    """The command line; typer's own runner makes it anew for every call, which takes longer than most of them."""
    from typer.main import get_command

    from ptx.cli import app

    return get_command(app)


def _recorded(pairs: list[str]) -> list[str]:
    if len(pairs) <= MANY:
        return pairs
    return [f"{len(pairs)} keys", f"sha256 {hashlib.sha256(chr(10).join(pairs).encode()).hexdigest()}"]


def differences(recorded: Mapping[str, list[str]], found: Mapping[str, list[str]]) -> list[str]:
    """A line for each command line that has other keys now, or is not there any more."""
    changed = []
    for text, before in recorded.items():
        now = found.get(text)
        if now is None:
            changed.append(f"ptx {text}: no longer among the command lines")
        elif now != before:
            here = next((f"{b} is now {n}" for b, n in zip(before, now, strict=False) if b != n), "")
            changed.append(f"ptx {text}: {here or f'{len(before)} keys are now {len(now)}'}")
    return changed


def main() -> None:
    found, versions = find()
    if "--show" in sys.argv:
        print(json.dumps([found, versions]))
        return
    before = json.loads(FILE.read_text("utf-8")) if FILE.exists() else {"versions": {}, "embedded": {}, "keys": {}}
    changed, inputs = differences(before["keys"], found), embedded()
    if changed and (before["versions"], before["embedded"]) == (versions, inputs):
        sys.exit("\n".join([*changed, "recorded keys never change: undo that, or raise a stage's version"]))
    own = {line.text: found[line.text] for line in lines() if line.text == line.like}
    FILE.write_text(json.dumps({"versions": versions, "embedded": inputs, "keys": own}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
