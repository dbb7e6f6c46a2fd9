/// The colour maps, each 256 times red, green, blue; one file for the viewer's page and for pictures.
public enum ColourTables {
    /// In the file's order.
    public static let names = ["viridis", "magma", "inferno", "cividis", "grey", "twilight", "wheel"]
    private static let tableBytes = 768

    /// All maps, in the order of ``names``.
    public static var file: [UInt8] { PackageResources.colourmaps_bin }

    /// The 768 bytes of a map; nil for an unknown one.
    public static func table(_ name: String) -> ArraySlice<UInt8>? {
        guard let index = names.firstIndex(of: name) else { return nil }
        return PackageResources.colourmaps_bin[index * tableBytes..<(index + 1) * tableBytes]
    }
}
