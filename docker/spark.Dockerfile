# For bronze, silver, gold and refresh, and for the master and the workers of a cluster: Spark with Delta. The build
# downloads the jars, those of S3 too.
FROM python:3.11-slim-bookworm

RUN apt-get update \
    && apt-get install --yes --no-install-recommends openjdk-17-jre-headless \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /app
COPY requirements/spark.txt requirements/
RUN pip install --no-cache-dir --require-hashes -r requirements/spark.txt
# Install the package, because Spark's Python workers do not import from the driver's working folder.
COPY . .
RUN pip install --no-cache-dir --no-deps .

# New volumes take their owner from these folders.
RUN useradd --uid 10001 --create-home loginlake && install --directory --owner loginlake /lake /state
USER loginlake
RUN loginlake jars --root s3://lake
CMD ["loginlake", "--help"]
