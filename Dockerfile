# ptx with all extras for users; see docs/install.md. INDEX is where pip finds a CPU build of PyTorch.
FROM python:3.12-slim
ARG INDEX
COPY . /ptx
RUN pip install --no-cache-dir -c /ptx/constraints.txt ${INDEX:+--index-url "$INDEX"} torch \
 && pip install --no-cache-dir -c /ptx/constraints.txt '/ptx[figures,data,tokenizers,gguf]' \
 && rm -r /ptx
ENV HF_HUB_OFFLINE=1
WORKDIR /work
ENTRYPOINT ["ptx"]
CMD ["--help"]
