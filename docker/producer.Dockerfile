FROM python:3.11-slim-bookworm

WORKDIR /app
COPY requirements/producer.txt requirements/
RUN pip install --no-cache-dir --require-hashes -r requirements/producer.txt
COPY lakehouse/ lakehouse/
COPY producer/ producer/

RUN useradd --uid 10001 loginlake
USER loginlake
CMD ["python", "-m", "producer", "--help"]
