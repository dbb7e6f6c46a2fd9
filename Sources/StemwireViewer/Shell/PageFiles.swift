import StemwirePictures

/// The page's files, which are part of the program.
enum PageFiles {
    struct File: Sendable {
        let mediaType: String
        let bytes: [UInt8]
    }

    /// Without comments and indentation, which are a seventh of it. No line of a text in the scripts may begin with `//`.
    private static func script(_ source: [UInt8]) -> File {
        var bytes: [UInt8] = []
        for line in source.split(separator: UInt8(ascii: "\n")) {
            let words = line.drop { $0 == UInt8(ascii: " ") }
            guard !words.isEmpty, !words.starts(with: "//".utf8) else { continue }
            bytes += words
            bytes.append(UInt8(ascii: "\n"))
        }
        return File(mediaType: "text/javascript; charset=utf-8", bytes: bytes)
    }

    /// By the path behind the first slash.
    static let all: [String: File] = [
        "": File(mediaType: "text/html; charset=utf-8", bytes: PackageResources.index_html),
        "viewer.css": File(mediaType: "text/css; charset=utf-8", bytes: PackageResources.viewer_css),
        "viewer.js": script(PackageResources.viewer_js),
        "address.js": script(PackageResources.address_js),
        "bars.js": script(PackageResources.bars_js),
        "check.js": script(PackageResources.check_js),
        "connection.js": script(PackageResources.connection_js),
        "detectors.js": script(PackageResources.detectors_js),
        "doing.js": script(PackageResources.doing_js),
        "dom.js": script(PackageResources.dom_js),
        "export.js": script(PackageResources.export_js),
        "fourier.js": script(PackageResources.fourier_js),
        "keys.js": script(PackageResources.keys_js),
        "levels.js": script(PackageResources.levels_js),
        "pane.js": script(PackageResources.pane_js),
        "past.js": script(PackageResources.past_js),
        "picture.js": script(PackageResources.picture_js),
        "places.js": script(PackageResources.places_js),
        "pointer.js": script(PackageResources.pointer_js),
        "profile.js": script(PackageResources.profile_js),
        "role.js": script(PackageResources.role_js),
        "scale.js": script(PackageResources.scale_js),
        "seams.js": script(PackageResources.seams_js),
        "shapes.js": script(PackageResources.shapes_js),
        "sources.js": script(PackageResources.sources_js),
        "trust.js": script(PackageResources.trust_js),
        "wheel.js": script(PackageResources.wheel_js),
        "colourmaps.bin": File(mediaType: "application/octet-stream", bytes: ColourTables.file),
    ]
}
