# Without Spark and JVM: the API reads the lake with delta-rs and polars.
FROM python:3.11-slim-bookworm

WORKDIR /app
COPY requirements/serving.txt requirements/
RUN pip install --no-cache-dir --require-hashes -r requirements/serving.txt
# Install the package itself, because the API reports its version. Its dependencies are installed already.
COPY . .
RUN pip install --no-cache-dir --no-deps .

# A new volume takes its owner from this folder.
RUN useradd --uid 10001 loginlake && install --directory --owner loginlake /lake
USER loginlake
EXPOSE 8000
CMD ["python", "-m", "serving"]
