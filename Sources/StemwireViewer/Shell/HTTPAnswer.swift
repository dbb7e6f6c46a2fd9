import NIOCore
import NIOHTTP1
import StemwireClient

/// The answer to an HTTP request.
struct HTTPAnswer: Sendable {
    var status: HTTPResponseStatus
    var mediaType: String
    var bytes: [UInt8]
    /// Beside those of every answer.
    var headers: [(name: String, value: String)] = []

    init(_ status: HTTPResponseStatus, _ mediaType: String, _ bytes: [UInt8]) {
        self.status = status
        self.mediaType = mediaType
        self.bytes = bytes
    }

    /// A text for people.
    init(_ status: HTTPResponseStatus, _ text: String) {
        self.init(status, "text/plain; charset=utf-8", Array((text + "\n").utf8))
    }

    /// To one who is not let in.
    init(_ refusal: PageAccess.Refusal) {
        self.init(.unauthorized, "\(refusal); send it as the header “Authorization: Bearer TOKEN”")
        headers = [("www-authenticate", "Bearer realm=\"stemwire\"")]
    }

    init(json: JSONValue) {
        self.init(.ok, "application/json", Array((json.text + "\n").utf8))
    }
}

/// What there is to be had by HTTP. All requests are readings.
struct HTTPRoutes: Sendable {
    enum Reply: Sendable {
        case answer(HTTPAnswer)
        case moving(MovingPicture, PageAccess.Visitor)
    }

    let feed: Feed
    let rules: AccessRules
    let access: PageAccess
    let counters: ViewerCounters
    let texts: [String: OperatorPage]
    let maximumPages: Int

    func reply(_ head: HTTPRequestHead) -> Reply {
        let (path, query) = Self.parts(head.uri)
        guard head.method == .GET, path.hasPrefix("/mjpeg/"), rules.allows(host: head.headers["host"]) else {
            return .answer(answer(head))
        }
        guard feed.pages < maximumPages else {
            return .answer(HTTPAnswer(.serviceUnavailable, "the viewer has \(maximumPages) pages already"))
        }
        let visitor: PageAccess.Visitor
        do throws(PageAccess.Refusal) {
            visitor = try access.admit(authorization: head.headers["authorization"])
        } catch {
            return .answer(refused(error))
        }
        do throws(ViewerRequestError) {
            let picture = try MovingPicture(feed: feed, path: path.dropFirst("/mjpeg/".count), query: query)
            return .moving(picture, visitor)
        } catch {
            return .answer(HTTPAnswer(.badRequest, error.description))
        }
    }

    private typealias Query = [(name: Substring, value: Substring)]

    private static func parts(_ uri: String) -> (path: Substring, query: Query) {
        let parts = uri.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let query = parts.count > 1 ? parts[1].split(separator: "&") : []
        return (
            parts.first ?? "",
            query.map { part in
                let sides = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                return (sides[0], sides.count > 1 ? sides[1] : "")
            }
        )
    }

    func answer(_ head: HTTPRequestHead) -> HTTPAnswer {
        guard rules.allows(host: head.headers["host"]) else {
            return HTTPAnswer(
                .misdirectedRequest, "this viewer is not called \(head.headers.first(name: "host") ?? "nothing")")
        }
        guard head.method == .GET || head.method == .HEAD else {
            return HTTPAnswer(.methodNotAllowed, "only GET and HEAD")
        }
        let (path, query) = Self.parts(head.uri)
        guard path.first == "/" else { return HTTPAnswer(.badRequest, "no path") }
        let name = path.dropFirst()
        // The page asks for the token; what it is made of is in the program's source.
        if let file = PageFiles.all[String(name)] { return HTTPAnswer(.ok, file.mediaType, file.bytes) }
        let text = texts[String(name)]
        if text?.isForAll != true, name != "healthz" {
            do throws(PageAccess.Refusal) {
                _ = try access.admit(authorization: head.headers["authorization"])
            } catch {
                return refused(error)
            }
        }
        if name == "metrics" { return metrics(text?.make()) }
        if let text = text?.make() {
            return HTTPAnswer(text.isGood ? .ok : .serviceUnavailable, text.mediaType, Array(text.text.utf8))
        }
        switch name {
        case "healthz": return HTTPAnswer(.ok, "ok")
        case "status": return status()
        case _ where name.hasPrefix("snap/"):
            return snap(name.dropFirst("snap/".count), query)
        default: return HTTPAnswer(.notFound, "there is nothing at \(path.prefix(200))")
        }
    }

    private func refused(_ refusal: PageAccess.Refusal) -> HTTPAnswer {
        counters.refused.wrappingAdd(1, ordering: .relaxed)
        return HTTPAnswer(refusal)
    }

    /// The server's figures, where it runs in this process, and the viewer's.
    private func metrics(_ server: OperatorText?) -> HTTPAnswer {
        let text = (server?.text ?? "") + counters.metrics(pages: feed.pages)
        return HTTPAnswer(.ok, OperatorText.metricsMediaType, Array(text.utf8))
    }

    private func status() -> HTTPAnswer {
        let (live, detectors, pages) = feed.now
        var members = StateReport(live, detectors: detectors, now: .now).members
        members.append(("viewer", .object([("pages", .int(pages))])))
        members.append(("notices", .array(live.notices.map(\.json))))
        return HTTPAnswer(json: .object(members))
    }

    /// `/snap/CHANNEL.png?map=magma&scale=log`: the query is of pictures only.
    private func snap(_ path: Substring, _ query: Query) -> HTTPAnswer {
        let picture: ServedPicture
        do throws(ViewerRequestError) {
            picture = try ServedPicture(query: query)
        } catch {
            return HTTPAnswer(.badRequest, error.description)
        }
        let live = feed.now.live
        guard let (name, file) = SnapName.find(path, in: live.channels.keys), let channel = live.channels[name] else {
            let known = live.channels.keys.map { "\($0.udf).\($0.channel)" }.sorted().joined(separator: ", ")
            return HTTPAnswer(
                .notFound,
                "no such channel. There are: \(known.isEmpty ? "none yet" : known); as .npy, .tiff (float32), .png or .jpg"
            )
        }
        guard let bytes = channel.content.encoded(as: file, picture) else {
            return HTTPAnswer(.unsupportedMediaType, "\(name) is no image; take .npy")
        }
        return HTTPAnswer(.ok, file.mediaType, bytes)
    }

    /// The headers of every answer.
    ///
    /// - Parameter bytes: how many follow; nil when that is not known.
    func headers(mediaType: String, bytes: Int?) -> HTTPHeaders {
        let frames = (["'self'", "http://localhost:*", "http://127.0.0.1:*"] + rules.origins.sorted())
            .joined(separator: " ")
        var headers: HTTPHeaders = [
            "content-type": mediaType,
            "cache-control": "no-store",
            "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
                + "img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors \(frames)",
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
            "cross-origin-resource-policy": "same-origin",
        ]
        if let bytes { headers.add(name: "content-length", value: String(bytes)) }
        return headers
    }
}

extension ChannelContent {
    fileprivate func encoded(as file: ChannelFile, _ picture: ServedPicture) -> [UInt8]? {
        file.encode(self, picture: picture)
    }
}
