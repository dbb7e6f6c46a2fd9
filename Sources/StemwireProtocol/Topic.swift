/// The first part of a live message. Every segment ends with `/`, so that no topic is the beginning of another's segment.
public struct Topic: Sendable, Hashable, CustomStringConvertible {
    /// The topic as it stands on the wire, ASCII.
    public let text: String

    public var description: String { text }

    private init(_ kind: String, _ segments: [String]) {
        text = ([String(ProtocolVersion.current), kind] + segments).map { $0 + "/" }.joined()
    }

    /// Start and end of acquisitions: `1/acquisition/<source>/`.
    public static func acquisition(source: String) -> Topic { Topic("acquisition", [source]) }

    /// Frame tiles: `1/tile/<source>/`.
    public static func tile(source: String) -> Topic { Topic("tile", [source]) }

    /// Results of one channel: `1/result/<source>/<run>/<udf>/<channel>/`.
    public static func result(source: String, run: String, udf: String, channel: String) -> Topic {
        Topic("result", [source, run, udf, channel])
    }

    /// What to subscribe to for all results of a run, or of all runs.
    public static func results(source: String, run: String? = nil, udf: String? = nil) -> Topic {
        Topic("result", [source] + [run, udf].prefix { $0 != nil }.compactMap { $0 })
    }

    /// Events and status: `1/event/<source>/`.
    public static func event(source: String) -> Topic { Topic("event", [source]) }

    /// Whether `name` can be a segment: ASCII letters, digits, `.`, `_` and `-`, 1 to 128 characters.
    public static func isValidSegment(_ name: String) -> Bool {
        let bytes = name.utf8
        return (1...WireLimits.identifierBytes).contains(bytes.count)
            && bytes.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }
}
