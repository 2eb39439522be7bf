"""`python -m backing_services.kafka.fetch`: fetch Apache Kafka's jars (44 MB) with Maven into the cache, once."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from backing_services._cache import fetch_command, published
from backing_services.kafka.apache import VERSION, jars_folder
from backing_services.kafka.cluster import KafkaError

# slf4j-simple: without a binding Kafka logs nothing when it can't start.
POM = """\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>backing-services</groupId>
  <artifactId>kafka-jars</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{version}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
"""


def fetch() -> Path:
    """Return the folder of jars, fetching them first if they are missing. Raises KafkaError."""
    for tool, package in (("mvn", "Maven"), ("java", "a Java 17 runtime")):
        if shutil.which(tool) is None:
            raise KafkaError(f"no {tool} on the PATH: install {package}, or use Kafka embedded or in a container")
    return published(jars_folder(), _copy_dependencies)


def _copy_dependencies(folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="backing-maven-") as project:
        pom = Path(project) / "pom.xml"
        pom.write_text(POM.format(version=VERSION))
        goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={folder}"]
        command = ["mvn", "--quiet", "--batch-mode", f"--file={pom}", *goal]
        done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - our own command
        if done.returncode:
            raise KafkaError(f"Maven failed: {(done.stdout or done.stderr).strip()[:500]}")


if __name__ == "__main__":
    fetch_command(fetch, KafkaError)
