#!/usr/bin/env python3
"""Pictures for the tests of vision, rendered into a folder (nothing of them is committed).

    make.py OUT_DIR

base.png                 48 x 32, no symmetry; every decoding test compares with it
orient_1.jpg … _8.jpg    base, stored turned as EXIF says
cmyk.jpg, cmyk_plain.jpg with and without Adobe's segment (the latter stores ink as it is)
png_*.png, webp_*.webp, gif_*.gif   one kind of each format
bad/NAME                 hostile or damaged files; bad/expect.txt says `NAME: text of the error`
invoice.png, invoice.txt a page and its lines
sign.jpg, sign.txt       large words on a noisy background, at an angle; sign_over.jpg on its head
"""
import io
import os
import random
import struct
import sys
import zlib

from PIL import Image, ImageDraw, ImageFont

W, H = 48, 32
FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"


def base():
    im = Image.new("RGB", (W, H))
    for y in range(H):
        for x in range(W):
            im.putpixel((x, y), (x * 5, y * 7, 255 - x * 2 - y * 3))
    draw = ImageDraw.Draw(im)
    draw.rectangle((4, 4, 18, 10), fill=(230, 30, 20))
    draw.rectangle((32, 16, 44, 28), fill=(20, 40, 220))
    return im


def save(im, out, name, **options):
    im.save(os.path.join(out, name), **options)


# --- PNG by hand: kinds that Pillow does not write ------------------------------------------------
def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, depth, colour, data, extra=b"", interlace=0):
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra +
            chunk(b"IDAT", zlib.compress(data, 9)) + chunk(b"IEND", b""))


def rows(im, sample, xs=None, ys=None):
    out = bytearray()
    for y in ys if ys is not None else range(im.height):
        out.append(0)
        for x in xs if xs is not None else range(im.width):
            out += sample(im.getpixel((x, y)))
    return bytes(out)


def adam7(im, sample):
    steps = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
             (0, 1, 1, 2))
    return b"".join(rows(im, sample, range(x, im.width, dx), range(y, im.height, dy))
                    for x, y, dx, dy in steps if x < im.width and y < im.height)


def write(out, name, data):
    with open(os.path.join(out, name), "wb") as f:
        f.write(data)


def make_png(im, out):
    wide = lambda p: struct.pack(">HHH", *[v * 257 for v in p])
    write(out, "png_16bit.png", png(W, H, 16, 2, rows(im, wide)))
    write(out, "png_interlaced.png", png(W, H, 8, 2, adam7(im, bytes), interlace=1))
    exif = b"II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 0x0112, 3, 1, 6) + bytes(4)
    turned = im.transpose(Image.Transpose.ROTATE_90)
    write(out, "png_exif6.png", png(H, W, 8, 2, rows(turned, bytes), chunk(b"eXIf", exif)))
    grey = im.convert("L")
    save(grey, out, "png_grey.png")
    write(out, "png_grey16.png", png(W, H, 16, 0, rows(grey, lambda p: struct.pack(">H", p * 257))))
    flat = im.quantize(64, dither=Image.Dither.NONE)
    save(flat, out, "png_palette.png")
    save(flat.convert("RGB"), out, "palette_rgb.png")
    save(im.convert("L").convert("1", dither=Image.Dither.NONE), out, "png_bits.png")
    alpha = im.convert("RGBA")
    alpha.putalpha(Image.linear_gradient("L").resize((W, H)))
    save(alpha, out, "png_alpha.png")
    save(alpha, out, "webp_alpha.webp", lossless=True, exact=True)
    white = Image.new("RGBA", (W, H), "white")
    save(Image.alpha_composite(white, alpha).convert("RGB"), out, "alpha_rgb.png")


def make_jpeg(im, out):
    turn = Image.Transpose
    stored = {1: None, 2: turn.FLIP_LEFT_RIGHT, 3: turn.ROTATE_180, 4: turn.FLIP_TOP_BOTTOM,
              5: turn.TRANSPOSE, 6: turn.ROTATE_90, 7: turn.TRANSVERSE, 8: turn.ROTATE_270}
    for o, how in stored.items():
        exif = Image.Exif()
        exif[0x0112] = o
        save(im.transpose(how) if how is not None else im, out, f"orient_{o}.jpg", quality=97,
             subsampling=0, exif=exif)
    save(im, out, "progressive.jpg", quality=97, subsampling=0, progressive=True)
    save(im.convert("L"), out, "grey.jpg", quality=97)
    cmyk = im.convert("CMYK")
    save(cmyk, out, "cmyk.jpg", quality=100, subsampling=0)
    inverted = Image.merge("CMYK", [c.point(lambda v: 255 - v) for c in cmyk.split()])
    f = io.BytesIO()
    inverted.save(f, "JPEG", quality=100, subsampling=0)
    write(out, "cmyk_plain.jpg", without_adobe(f.getvalue()))


def without_adobe(data):
    at, out = 2, data[:2]
    while data[at + 1] != 0xDA:
        n = struct.unpack(">H", data[at + 2:at + 4])[0] + 2
        if data[at + 1] != 0xEE:
            out += data[at:at + n]
        at += n
    return out + data[at:]


def make_others(im, out):
    save(im, out, "webp_lossy.webp", quality=95)
    save(im, out, "webp_lossless.webp", lossless=True)
    other = Image.new("RGB", (W, H), "green")
    save(im, out, "webp_animated.webp", save_all=True, append_images=[other], lossless=True,
         duration=100)
    exif = Image.Exif()
    exif[0x0112] = 8
    save(im.transpose(Image.Transpose.ROTATE_270), out, "webp_exif8.webp", lossless=True, exif=exif)
    flat = im.quantize(64, dither=Image.Dither.NONE)
    save(flat, out, "gif_plain.gif", interlace=0)
    save(flat, out, "gif_interlaced.gif", interlace=1)
    save(flat, out, "gif_animated.gif", save_all=True, append_images=[other.quantize(2)],
         duration=100)
    holes = flat.copy()
    save(holes, out, "gif_holes.gif", transparency=holes.getpixel((5, 5)))
    rgb = flat.convert("RGB")
    hole = rgb.getpixel((5, 5))
    for x, y in [(x, y) for x in range(W) for y in range(H) if rgb.getpixel((x, y)) == hole]:
        rgb.putpixel((x, y), (255, 255, 255))
    save(rgb, out, "holes_rgb.png")


# --- damaged and hostile ------------------------------------------------------------------------
def make_bad(out, bad):
    expect = {}

    def add(name, data, text):
        write(bad, name, data)
        expect[name] = text

    def read(name):
        with open(os.path.join(out, name), "rb") as f:
            return f.read()

    white = b"\0" + b"\xff" * (3 * 16384)
    add("empty.bin", b"", "is empty")
    add("text.txt", b"just words", "no image that is known")
    add("document.pdf", b"%PDF-1.4\n", "a PDF file")
    add("bitmap.bmp", b"BM" + bytes(60), "a BMP file")
    add("huge_sides.png", png(60000, 60000, 8, 2, white), "60000 x 60000")
    add("huge_area.png", png(16384, 16384, 8, 2, white), "16384 x 16384")
    add("no_size.png", png(0, 5, 8, 2, b""), "0 x 5")
    add("short_pixels.png", png(64, 64, 8, 2, b"\0" * 50), "cannot be read")
    add("kind.png", png(4, 4, 8, 5, b"\0" * 16), "cannot be read")
    data = read("png_16bit.png")
    broken = bytearray(data)
    broken[60] ^= 0x55
    add("checksum.png", bytes(broken), "cannot be read")
    add("jpeg_in_png.png", data[:8] + read("grey.jpg"), "begin with its header")
    add("png_in_jpeg.jpg", b"\xff\xd8\xff" + data, "truncated in its header")
    data = bytearray(read("grey.jpg"))
    at = data.find(b"\xff\xc0")
    for name, off, value, text in (("deep.jpg", 4, 12, "precision"),
                                   ("no_height.jpg", 5, 0, "0 pixels"),
                                   ("wide.jpg", 7, 0xFF, "pixels")):
        b = bytearray(data)
        b[at + off] = value
        if name == "no_height.jpg":
            b[at + off + 1] = 0
        add(name, bytes(b), text)
    add("no_frame.jpg", bytes(data[:at]) + b"\xff\xda\0\x08" + bytes(9), "frame header")
    scans = read("progressive.jpg")
    start = scans.find(b"\xff\xda")
    one = scans[start:scans.find(b"\xff", start + 20)]
    add("scans.jpg", scans[:start] + one * 600 + b"\xff\xd9", "cannot be read")
    webp = read("webp_lossy.webp")
    add("size.webp", webp[:4] + struct.pack("<I", 1 << 30) + webp[8:], "truncated")
    wide = bytearray(read("webp_exif8.webp"))
    wide[24:27] = b"\xff\x0f\0"  # of VP8X, the first chunk
    add("canvas.webp", bytes(wide), "cannot be read")
    gif = read("gif_plain.gif")
    add("palette.gif", gif[:10] + b"\0" + gif[11:13] + gif[13 + 3 * 64:], "cannot be read")
    add("codes.gif", b"GIF89a\x04\0\x04\0\x80\0\0" + bytes(6) + b"\x2c" + bytes(4) +
        b"\x04\0\x04\0\0\x02\x04\xff\xff\xff\xff\0;", "cannot be read")
    add("no_frame.gif", gif[:13 + 3 * 64] + b";", "no frame")
    add("large_frame.gif", b"GIF89a\x04\0\x04\0\x80\0\0" + bytes(6) + b"\x2c" + bytes(4) +
        b"\xff\xff\xff\xff\0\x02\0;", "65535 x 65535")
    for name in ("grey.jpg", "progressive.jpg", "png_16bit.png", "webp_lossy.webp",
                 "webp_lossless.webp", "webp_animated.webp", "gif_plain.gif"):
        data = read(name)
        for part in (5, 30, 60, 90):
            add(f"cut{part}_{name}", data[:len(data) * part // 100], "")
    rng = random.Random(5)
    for name in ("orient_6.jpg", "cmyk.jpg", "png_palette.png", "webp_alpha.webp",
                 "gif_animated.gif"):
        for k in range(12):
            data = bytearray(read(name))
            for _ in range(1 + k):
                data[rng.randrange(8, len(data))] = rng.randrange(256)
            add(f"flip{k}_{name}", bytes(data), None)  # may be readable still
    with open(os.path.join(bad, "expect.txt"), "w", encoding="ascii") as f:
        for name, text in expect.items():
            f.write(f"{name}: {'?' if text is None else text}\n")


# --- text ---------------------------------------------------------------------------------------
INVOICE = (
    (60, 44, "Northwind Traders Ltd"), (150, 26, "12 Harbour Street, Bristol BS1 4RN"),
    (250, 36, "INVOICE"), (330, 26, "Invoice No. 2024-0815"), (375, 26, "Date: 15 March 2024"),
    (420, 26, "Customer: Jane Miller, 7 Oak Lane, Leeds"),
    (520, 26, "Description Quantity Price Amount"), (570, 26, "Steel bolts M8 200 0.15 30.00"),
    (615, 26, "Oak shelf 120 cm 4 49.99 199.96"), (660, 26, "Delivery 1 12.50 12.50"),
    (760, 28, "Total amount: $242.46"), (830, 26, "Payment is due within 30 days."),
    (875, 26, "Thank you for your order!"))


def make_invoice(out):
    page = Image.new("RGB", (1240, 1000), "white")
    draw = ImageDraw.Draw(page)
    for y, size, text in INVOICE:
        draw.text((90, y), text, fill="black", font=ImageFont.truetype(FONT, size))
    draw.line((90, 505, 1150, 505), fill="black", width=2)
    draw.line((90, 710, 1150, 710), fill="black", width=2)
    save(page, out, "invoice.png")
    save(page, out, "invoice.jpg", quality=85)
    with open(os.path.join(out, "invoice.txt"), "w", encoding="utf-8") as f:
        f.writelines(text + "\n" for _, _, text in INVOICE)


SIGN = ("STOP", "Main Street 42", "OPEN 24 HOURS")


def make_sign(out):
    rng = random.Random(3)
    im = Image.new("RGB", (900, 600))
    im.putdata([(90 + x // 12 + rng.randrange(40), 120 + y // 9 + rng.randrange(30),
                 110 + rng.randrange(50)) for y in range(600) for x in range(900)])
    board = Image.new("RGBA", (900, 600), (0, 0, 0, 0))
    draw = ImageDraw.Draw(board)
    for (y, size, back, ink), text in zip(((60, 110, (190, 20, 30), "white"),
                                           (250, 64, (20, 60, 140), "white"),
                                           (400, 64, (240, 210, 40), "black")), SIGN):
        font = ImageFont.truetype(FONT, size)
        box = draw.textbbox((120, y), text, font=font)
        draw.rectangle((box[0] - 25, box[1] - 20, box[2] + 25, box[3] + 20), fill=back)
        draw.text((120, y), text, fill=ink, font=font)
    board = board.rotate(6, resample=Image.Resampling.BICUBIC, center=(450, 300))
    im.paste(board, (0, 0), board)
    save(im, out, "sign.jpg", quality=88)
    save(im.rotate(180), out, "sign_over.jpg", quality=88)
    with open(os.path.join(out, "sign.txt"), "w", encoding="utf-8") as f:
        f.writelines(text + "\n" for text in SIGN)


def main():
    out = sys.argv[1]
    bad = os.path.join(out, "bad")
    os.makedirs(bad, exist_ok=True)
    im = base()
    save(im, out, "base.png")
    make_png(im, out)
    make_jpeg(im, out)
    make_others(im, out)
    make_bad(out, bad)
    make_invoice(out)
    make_sign(out)


if __name__ == "__main__":
    main()
