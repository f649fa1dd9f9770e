# No Spark and no JVM: the API reads the lake through delta-rs and polars.
FROM python:3.11-slim-bookworm

WORKDIR /app
COPY requirements/serving.txt requirements/
RUN pip install --no-cache-dir --require-hashes -r requirements/serving.txt
# The package itself, whose version the API tells; what it needs is there already.
COPY . .
RUN pip install --no-cache-dir --no-deps .

# The volume takes its owner from this folder.
RUN useradd --uid 10001 loginlake && install --directory --owner loginlake /lake
USER loginlake
EXPOSE 8000
CMD ["python", "-m", "serving"]
