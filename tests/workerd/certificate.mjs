// A certificate for this machine, signed by itself, made with nothing but Node: DER by hand (RFC 5280), since neither Node
// nor a bare system has a program for it.
import { generateKeyPairSync, randomBytes, sign } from "node:crypto";

const VALID_MS = 2 * 24 * 3600 * 1000;

const [INTEGER, BITS, OCTETS, OID, UTF8, TIME, SEQUENCE, SET] = [0x02, 0x03, 0x04, 0x06, 0x0c, 0x17, 0x30, 0x31];
const context = (number) => 0xa0 + number;

/** One element: its tag, its length, what is in it. */
function der(tag, ...parts) {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part)));
  // As short as it can be said: nats-server insists.
  const long = body.length < 0x100 ? [0x81, body.length] : [0x82, body.length >> 8, body.length & 0xff];
  const length = body.length < 0x80 ? [body.length] : long;
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
}

const COMMON_NAME = der(OID, [0x55, 0x04, 0x03]);
const SUBJECT_ALT_NAME = der(OID, [0x55, 0x1d, 0x11]);
const BASIC_CONSTRAINTS = der(OID, [0x55, 0x1d, 0x13]);
const ECDSA_WITH_SHA256 = der(SEQUENCE, der(OID, [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]));
const TRUE = der(0x01, [0xff]);

/** `YYMMDDhhmmssZ` */
function time(ms) {
  return der(TIME, new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, "").slice(2));
}

/** Key and certificate for `localhost` and 127.0.0.1, as PEM. */
export function selfSigned() {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const name = der(SEQUENCE, der(SET, der(SEQUENCE, COMMON_NAME, der(UTF8, "localhost"))));
  const now = Date.now();
  const validity = der(SEQUENCE, time(now - VALID_MS), time(now + VALID_MS));
  // A serial number is positive: its first bit is not set.
  const serial = der(INTEGER, [0x01], randomBytes(8));
  const names = der(SEQUENCE, der(0x82, "localhost"), der(0x87, [127, 0, 0, 1]));
  const extensions = der(
    SEQUENCE,
    der(SEQUENCE, SUBJECT_ALT_NAME, der(OCTETS, names)),
    // It is its own authority.
    der(SEQUENCE, BASIC_CONSTRAINTS, TRUE, der(OCTETS, der(SEQUENCE, TRUE))),
  );
  const content = der(
    SEQUENCE,
    der(context(0), der(INTEGER, [2])),
    serial,
    ECDSA_WITH_SHA256,
    name,
    validity,
    name,
    publicKey.export({ type: "spki", format: "der" }),
    der(context(3), extensions),
  );
  const signature = sign("sha256", content, privateKey);
  const certificate = der(SEQUENCE, content, ECDSA_WITH_SHA256, der(BITS, [0], signature));
  const lines = certificate.toString("base64").match(/.{1,64}/g).join("\n");
  return {
    key: privateKey.export({ type: "pkcs8", format: "pem" }),
    cert: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
  };
}
