"""Raw mails to what a mail program shows of them, and without what tells of the archive."""

from training.datasets.spam_assassin import text_of, without_marks


def test_a_plain_mail_is_its_subject_and_its_text_without_headers() -> None:
    mail = b"Received: from somewhere\nSubject: Hello\n  there\nDate: today\n\nFirst  line\nsecond\n\n\n\nlast\n"
    assert text_of(mail) == "Hello there\n\nFirst line\nsecond\n\nlast"


def test_what_is_encoded_is_decoded() -> None:
    mail = (
        b"Subject: =?iso-8859-1?q?caf=E9?=\nContent-Type: text/plain; charset=utf-8\n"
        b"Content-Transfer-Encoding: base64\n\nZsO8ciBkaWNo\n"
    )
    assert text_of(mail) == "café\n\nfür dich"


def test_of_html_the_words_are_left() -> None:
    mail = (
        b"Subject: x\nContent-Type: text/html\n\n"
        b"<style>p {}</style><p>Buy<br>now &amp; <b>sa</b>ve</p><script>1</script>"
    )
    assert text_of(mail) == "x\n\nBuy\nnow & save"


def test_plain_text_goes_before_html() -> None:
    mail = (
        b'Subject: x\nContent-Type: multipart/alternative; boundary="b"\n\n'
        b"--b\nContent-Type: text/plain\n\nplain\n--b\nContent-Type: text/html\n\n<p>html</p>\n--b--\n"
    )
    assert text_of(mail) == "x\n\nplain"


def test_what_is_not_as_it_says_is_read_all_the_same() -> None:
    mail = b"Subject: =?no-such?q?x?=\nContent-Type: text/plain; charset=no-such\n\n\xe9t\xe9\0"
    assert text_of(mail) == "=?no-such?q?x?=\n\nété"
    assert text_of(b"") == ""


def test_marks_of_the_archive_go() -> None:
    text = "Re: [ILUG] Hello\n\nDear all\nURL: http://x\nrazor-users mailing list\n" + "_" * 40 + "\nbye"
    assert without_marks(text) == "Re: Hello\n\nDear all\nbye"
