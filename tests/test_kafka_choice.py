"""Which Apache Kafka the tests run on: in Docker where it answers, else as a process; never none in silence."""

import pytest

from tests.kafka.apache import ApacheKafka, DockerKafka, KafkaUnavailable, choose, version


@pytest.mark.parametrize(
    ("wanted", "docker", "kind"),
    [
        ("", True, DockerKafka),
        ("", False, ApacheKafka),
        ("process", True, ApacheKafka),
        ("docker", True, DockerKafka),
    ],
)
def test_docker_is_the_default_where_it_answers(wanted, docker, kind):
    assert choose({"GREENWAVE_TEST_KAFKA": wanted}, lambda: docker) is kind


@pytest.mark.parametrize(
    ("wanted", "said"), [("docker", "no Docker engine answers"), ("vm", "allowed: docker, process")]
)
def test_a_choice_that_cannot_be_had_is_an_error(wanted, said):
    with pytest.raises(KafkaUnavailable, match=said):
        choose({"GREENWAVE_TEST_KAFKA": wanted}, lambda: False)


def test_the_version_is_a_kafka_4():
    assert version().startswith("4.")
