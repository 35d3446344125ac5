"""From the bytes of any image file to a JPEG that holds its upright pixels and nothing else: no EXIF."""

import cv2

from finetune.data.decode import decode
from finetune.data.header import Header
from finetune.errors import ImageError

_QUALITY = 95  # of 100
_LONGEST = 65_500  # pixels of a side that libjpeg writes


def upright_jpeg(data: bytes, header: Header | None = None) -> bytes:
    """Return the image as `decode` returns it, as a JPEG; the same data always gives the same bytes.

    `header`: that of the same data, if it has been read already.
    Raises ImageError for data that `decode` does not take, and for an image whose pixels are in doubt: once they are
    written again, nothing would show that the decoder guessed them.
    """
    image, damage, dim = decode(data, header=header)
    if damage:
        raise ImageError(f"the image is damaged ({damage}); get the file again")
    if dim:
        raise ImageError("the image is dark: its 16-bit values use less than half of their range; scale them to 65535")
    height, width = image.shape[:2]
    if max(height, width) > _LONGEST:
        raise ImageError(f"{width}×{height} pixels: no side may have more than {_LONGEST:,}; shrink it")
    _, content = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return content.tobytes()
