import NIOCore
import NIOHTTP1
import StemwireClient

/// The answer to an HTTP request.
struct HTTPAnswer: Sendable {
    var status: HTTPResponseStatus
    var mediaType: String
    var bytes: [UInt8]

    init(_ status: HTTPResponseStatus, _ mediaType: String, _ bytes: [UInt8]) {
        self.status = status
        self.mediaType = mediaType
        self.bytes = bytes
    }

    /// A text for people.
    init(_ status: HTTPResponseStatus, _ text: String) {
        self.init(status, "text/plain; charset=utf-8", Array((text + "\n").utf8))
    }

    init(json: JSONValue) {
        self.init(.ok, "application/json", Array((json.text + "\n").utf8))
    }
}

/// What there is to be had by HTTP. All requests are readings.
struct HTTPRoutes: Sendable {
    let feed: Feed
    let rules: AccessRules
    let texts: [String: @Sendable () -> OperatorText]

    func answer(_ head: HTTPRequestHead) -> HTTPAnswer {
        guard rules.allows(host: head.headers["host"]) else {
            return HTTPAnswer(
                .misdirectedRequest, "this viewer is not called \(head.headers.first(name: "host") ?? "nothing")")
        }
        guard head.method == .GET || head.method == .HEAD else {
            return HTTPAnswer(.methodNotAllowed, "only GET and HEAD")
        }
        let parts = head.uri.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        guard let path = parts.first, path.first == "/" else { return HTTPAnswer(.badRequest, "no path") }
        let name = path.dropFirst()
        if let text = texts[String(name)]?() {
            return HTTPAnswer(text.isGood ? .ok : .serviceUnavailable, text.mediaType, Array(text.text.utf8))
        }
        if let file = PageFiles.all[String(name)] { return HTTPAnswer(.ok, file.mediaType, file.bytes) }
        switch name {
        case "healthz": return HTTPAnswer(.ok, "ok")
        case "status": return status()
        case _ where name.hasPrefix("snap/"):
            return snap(name.dropFirst("snap/".count), query: parts.count > 1 ? parts[1] : "")
        default: return HTTPAnswer(.notFound, "there is nothing at \(path.prefix(200))")
        }
    }

    private func status() -> HTTPAnswer {
        let (live, detectors, pages) = feed.now
        var members = StateReport(live, detectors: detectors, now: .now).members
        members.append(("viewer", .object([("pages", .int(pages))])))
        members.append(("notices", .array(live.notices.map(\.json))))
        return HTTPAnswer(json: .object(members))
    }

    /// `/snap/CHANNEL.png?map=magma&scale=log`: map and scale are of pictures only.
    private func snap(_ path: Substring, query: Substring) -> HTTPAnswer {
        var style = PictureStyle()
        for part in query.split(separator: "&") {
            switch part {
            case "scale=log": style.isLogarithmic = true
            case "scale=linear": style.isLogarithmic = false
            case _ where part.hasPrefix("map="): style.colours = String(part.dropFirst(4))
            default:
                return HTTPAnswer(.badRequest, "\(part.prefix(80)): known are map=NAME, scale=linear and scale=log")
            }
        }
        guard ColourTables.names.contains(style.colours) else {
            return HTTPAnswer(.badRequest, "the colour maps are \(ColourTables.names.joined(separator: ", "))")
        }
        let live = feed.now.live
        guard let (name, file) = SnapName.find(path, in: live.channels.keys), let channel = live.channels[name] else {
            let known = live.channels.keys.map { "\($0.udf).\($0.channel)" }.sorted().joined(separator: ", ")
            return HTTPAnswer(
                .notFound,
                "no such channel. There are: \(known.isEmpty ? "none yet" : known); as .npy, .tiff (float32) or .png")
        }
        guard let bytes = channel.content.encoded(as: file, style: style) else {
            return HTTPAnswer(.unsupportedMediaType, "\(name) is no image; take .npy")
        }
        return HTTPAnswer(.ok, file.mediaType, bytes)
    }

    /// The headers of every answer.
    func headers(_ answer: HTTPAnswer) -> HTTPHeaders {
        let frames = (["'self'", "http://localhost:*", "http://127.0.0.1:*"] + rules.origins.sorted())
            .joined(separator: " ")
        return [
            "content-type": answer.mediaType,
            "content-length": String(answer.bytes.count),
            "cache-control": "no-store",
            "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
                + "img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors \(frames)",
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
            "cross-origin-resource-policy": "same-origin",
        ]
    }
}

extension ChannelContent {
    fileprivate func encoded(as file: ChannelFile, style: PictureStyle) -> [UInt8]? { file.encode(self, style: style) }
}
