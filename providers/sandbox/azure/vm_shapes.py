"""What a VM's PUT may say: the members of its body that are simulated.

Names and words of https://learn.microsoft.com/rest/api/compute/virtual-machines/create-or-update of 2024-07-01. What
Azure knows and this simulator does not do (data disks, public addresses, identities, …) is refused like what nobody
knows.
"""

from providers.sandbox.azure.shapes import Kind, Many, Member, Shape, Words

DELETE_OPTION = Words("DeleteOptions", ("Delete", "Detach"))
_SUB_RESOURCE = Shape("SubResource", {"id": Kind.TEXT})

_IP_CONFIGURATION = Shape(
    "VirtualMachineNetworkInterfaceIPConfiguration",
    {
        "name": Kind.TEXT,
        "properties": Shape(
            "VirtualMachineNetworkInterfaceIPConfigurationProperties",
            {
                "subnet": _SUB_RESOURCE,
                "primary": Kind.FLAG,
                "privateIPAddressVersion": Words("IPVersion", ("IPv4",)),
            },
        ),
    },
)
_NIC_CONFIGURATION = Shape(
    "VirtualMachineNetworkInterfaceConfiguration",
    {
        "name": Kind.TEXT,
        "properties": Shape(
            "VirtualMachineNetworkInterfaceConfigurationProperties",
            {
                "primary": Kind.FLAG,
                "deleteOption": DELETE_OPTION,
                "ipConfigurations": Many(_IP_CONFIGURATION),
            },
        ),
    },
)
_NIC_REFERENCE = Shape(
    "NetworkInterfaceReference",
    {
        "id": Kind.TEXT,
        "properties": Shape(
            "NetworkInterfaceReferenceProperties", {"primary": Kind.FLAG, "deleteOption": DELETE_OPTION}
        ),
    },
)
_NETWORK_PROFILE = Shape(
    "NetworkProfile",
    {
        "networkApiVersion": Kind.TEXT,
        "networkInterfaces": Many(_NIC_REFERENCE),
        "networkInterfaceConfigurations": Many(_NIC_CONFIGURATION),
    },
)
_STORAGE_PROFILE = Shape(
    "StorageProfile",
    {
        "imageReference": Shape(
            "ImageReference",
            {
                "id": Kind.TEXT,
                "publisher": Kind.TEXT,
                "offer": Kind.TEXT,
                "sku": Kind.TEXT,
                "version": Kind.TEXT,
                "exactVersion": Kind.IGNORED,
            },
        ),
        "osDisk": Shape(
            "OSDisk",
            {
                "osType": Words("OperatingSystemTypes", ("Windows", "Linux")),
                "name": Kind.TEXT,
                "createOption": Words("DiskCreateOptionTypes", ("FromImage", "Attach", "Empty", "Copy", "Restore")),
                "caching": Words("CachingTypes", ("None", "ReadOnly", "ReadWrite")),
                "writeAcceleratorEnabled": Kind.FLAG,
                "managedDisk": Shape(
                    "ManagedDiskParameters",
                    {
                        "id": Kind.TEXT,
                        "storageAccountType": Words(
                            "StorageAccountTypes",
                            (
                                "Standard_LRS",
                                "Premium_LRS",
                                "StandardSSD_LRS",
                                "UltraSSD_LRS",
                                "Premium_ZRS",
                                "StandardSSD_ZRS",
                                "PremiumV2_LRS",
                            ),
                        ),
                    },
                ),
                "deleteOption": DELETE_OPTION,
                "diskSizeGB": Kind.NUMBER,
            },
        ),
        # None can be simulated: an item of the list has no member that is known.
        "dataDisks": Many(Shape("DataDisk")),
        "diskControllerType": Words("DiskControllerTypes", ("SCSI", "NVMe")),
    },
)
_SSH_KEY = Shape("SshPublicKey", {"path": Kind.TEXT, "keyData": Kind.TEXT})
_ASSESSMENT = Words("PatchAssessmentMode", ("ImageDefault", "AutomaticByPlatform"))
_LINUX_PATCHES = Shape(
    "LinuxPatchSettings",
    {"patchMode": Words("LinuxPatchMode", ("ImageDefault", "AutomaticByPlatform")), "assessmentMode": _ASSESSMENT},
)
_WINDOWS_PATCHES = Shape(
    "PatchSettings",
    {
        "patchMode": Words("WindowsPatchMode", ("Manual", "AutomaticByOS", "AutomaticByPlatform")),
        "assessmentMode": _ASSESSMENT,
        "enableHotpatching": Kind.FLAG,
    },
)
_OS_PROFILE = Shape(
    "OSProfile",
    {
        "computerName": Kind.TEXT,
        "adminUsername": Kind.TEXT,
        "adminPassword": Kind.TEXT,
        "customData": Kind.TEXT,
        "linuxConfiguration": Shape(
            "LinuxConfiguration",
            {
                "disablePasswordAuthentication": Kind.FLAG,
                "ssh": Shape("SshConfiguration", {"publicKeys": Many(_SSH_KEY)}),
                "provisionVMAgent": Kind.FLAG,
                "patchSettings": _LINUX_PATCHES,
                "enableVMAgentPlatformUpdates": Kind.FLAG,
            },
        ),
        "windowsConfiguration": Shape(
            "WindowsConfiguration",
            {
                "provisionVMAgent": Kind.FLAG,
                "enableAutomaticUpdates": Kind.FLAG,
                "timeZone": Kind.TEXT,
                "patchSettings": _WINDOWS_PATCHES,
                "enableVMAgentPlatformUpdates": Kind.IGNORED,
            },
        ),
        "secrets": Many(Shape("VaultSecretGroup")),
        "allowExtensionOperations": Kind.FLAG,
        "requireGuestProvisionSignal": Kind.FLAG,
    },
)
# Kept and shown again, of no other effect here.
ECHOED: dict[str, Member] = {
    "securityProfile": Shape(
        "SecurityProfile",
        {
            "securityType": Words("SecurityTypes", ("TrustedLaunch",)),
            "encryptionAtHost": Kind.FLAG,
            "uefiSettings": Shape("UefiSettings", {"secureBootEnabled": Kind.FLAG, "vTpmEnabled": Kind.FLAG}),
        },
    ),
    "diagnosticsProfile": Shape(
        "DiagnosticsProfile",
        {"bootDiagnostics": Shape("BootDiagnostics", {"enabled": Kind.FLAG, "storageUri": Kind.TEXT})},
    ),
    "additionalCapabilities": Shape("AdditionalCapabilities", {"hibernationEnabled": Kind.FLAG}),
    "licenseType": Kind.TEXT,
    "extensionsTimeBudget": Kind.TEXT,
    "priority": Words("VirtualMachinePriorityTypes", ("Regular",)),
}
PROPERTIES = Shape(
    "Properties",
    {
        "hardwareProfile": Shape("HardwareProfile", {"vmSize": Kind.TEXT}),
        "storageProfile": _STORAGE_PROFILE,
        "osProfile": _OS_PROFILE,
        "networkProfile": _NETWORK_PROFILE,
        "userData": Kind.TEXT,
        **ECHOED,
        "provisioningState": Kind.IGNORED,
        "instanceView": Kind.IGNORED,
        "vmId": Kind.IGNORED,
        "timeCreated": Kind.IGNORED,
    },
)
DEFINITION = Shape(
    "ResourceDefinition",
    {
        "id": Kind.IGNORED,
        "name": Kind.IGNORED,
        "type": Kind.IGNORED,
        "etag": Kind.IGNORED,
        "location": Kind.TEXT,
        "tags": Kind.TEXT_MAP,
        "zones": Kind.TEXTS,
        # Read by the provider, which has its own code for what it refuses.
        "properties": Kind.IGNORED,
    },
)
