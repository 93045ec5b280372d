"""Documentation/study.md says what the recording beside it says."""
from . import document


def test_page_is_made_from_its_data():
    study = document.Study(document.DOCUMENTATION / "study")
    assert (document.DOCUMENTATION / "study.md").read_text() == document.page(study), \
        "run make study, or change tests/study/study.md.in instead of the page"


def test_nothing_is_lost():
    """Cut into its stretches, and what is before and after, the recording is still all there."""
    study = document.Study(document.DOCUMENTATION / "study")
    recording = study.recording
    edges = [recording.times[0], *(begin for _, begin, _ in study.stretches),
             study.stretches[-1][2], recording.times[-1]]
    parts = sum(recording.between(*pair).exits for pair in zip(edges, edges[1:]))
    assert abs(parts - sum(row[0] for row in recording.rows[-1].values())) < 1e-3
